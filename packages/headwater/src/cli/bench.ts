/** `headwater bench train`: speed and memory of one training step, with hardware, versions and a sanity check. */

import { availableParallelism } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { HeadwaterError } from '../base/errors.ts';
import { formatCount, significant } from '../base/format.ts';
import { rng } from '../base/random.ts';
import { readWeight } from '../models/checkpoint-node.ts';
import { describeEnvironment } from '../runs/environment.ts';
import type { Device } from '../runtime/executor.ts';
import { openExecutorFor } from '../runtime/replicas-node.ts';
import { type BenchResult, benchTraining, drawnFrom } from '../training/bench.ts';
import { createEngine } from '../training/engine-core.ts';
import { lora } from '../tuning/lora.ts';
import { benchGenerate } from './bench-generate.ts';
import { benchLoad } from './bench-load.ts';
import { benchMemory } from './bench-memory.ts';
import { benchModel, STORAGES, type Storage } from './bench-model.ts';
import { benchRounds } from './bench-rounds.ts';
import { benchSecagg } from './bench-secagg.ts';
import { benchSharing } from './bench-sharing.ts';
import { CLOCKS, type StepOptions, withStepOptions } from './bench-train-options.ts';
import { deviceOption, jsonOption, nonNegative, wholeNumber } from './options.ts';
import { paint, renderTable } from './style.ts';

interface TrainBenchOptions extends StepOptions {
  readonly model?: string;
  readonly prepack: boolean;
  readonly recompute?: true;
  readonly microBatch?: number;
  readonly storage?: Storage;
  readonly device: Device;
  readonly json?: true;
}

type ShownOptions = TrainBenchOptions & { readonly microBatch: number; readonly replicas: number };

export function benchCommand(): Command {
  const bench = new Command('bench').description('measure speed on this machine');
  const train = bench
    .command('train')
    .description('one LoRA training step; SmolLM2-135M shapes with random weights by default')
    .option('--model <folder>', 'folder with config.json; weights are made up when it has none');
  withStepOptions(train, { batch: 4, seq: 128, steps: 5 })
    .addOption(
      new Option('--storage <type>', 'frozen weights; default: as the model has them').choices(STORAGES),
    )
    .option(
      '--micro-batch <n>',
      'sequences per pass; passes go on side by side, in sessions of their own; default: a pass for each thread of the CPU',
      wholeNumber,
    )
    .option('--recompute', 'compute the inside of each block again in the backward pass')
    .option('--no-prepack', 'leave frozen weights in the mapped file, as several workers on one machine do')
    .addOption(deviceOption().default('cpu'))
    .addOption(jsonOption())
    .action(benchTrain);
  bench
    .command('generate')
    .description('prompts and answers, greedily; SmolLM2-135M shapes with random weights by default')
    .option('--model <folder>', 'folder with config.json; weights are made up when it has none')
    .option('--prompt <n>', 'tokens of each prompt', wholeNumber, 64)
    .option('--new-tokens <n>', 'tokens of each answer', wholeNumber, 64)
    .option('--batch <n>', 'texts side by side', wholeNumber, 1)
    .option('--repeat <n>', 'timed repetitions; the median counts', wholeNumber, 3)
    .option('--threads <n>', 'threads of the session', wholeNumber, availableParallelism())
    .option('--no-prepack', 'leave frozen weights in the mapped file')
    .addOption(deviceOption().default('cpu'))
    .addOption(jsonOption())
    .action(benchGenerate);
  const memory = bench
    .command('memory')
    .description(
      'peak memory, speed and loss by how frozen weights are stored, with and without recomputation',
    );
  withStepOptions(memory, { batch: 1, seq: 256, steps: 3 })
    .addOption(
      new Option('--storages <types>', 'separated by commas')
        .argParser((text) => storagesOf(text))
        .default(['float32', 'bfloat16', 'int8', 'int4'], 'float32,bfloat16,int8,int4'),
    )
    .option('--loss-steps <n>', 'steps of seed-lm-7m to compare losses after; 0: none', Number, 50)
    .addOption(jsonOption())
    .action(benchMemory);
  bench
    .command('sharing')
    .description('memory that a second worker adds when both train on the same base weights (Linux)')
    .option('--model <folder>', 'folder with config.json; weights are made up when it has none')
    .addOption(
      new Option('--storage <type>', 'frozen weights; default: as the model has them').choices(STORAGES),
    )
    .option('--batch <n>', 'sequences per step', wholeNumber, 1)
    .option('--seq <n>', 'tokens per sequence', wholeNumber, 16)
    .option('--rank <n>', 'LoRA rank', wholeNumber, 8)
    .addOption(jsonOption())
    .action(benchSharing);
  bench
    .command('rounds')
    .description('rounds of a coordinator and clients that train nothing, in processes on this machine')
    .option('--clients <n>', 'clients, all in each round', wholeNumber, 4)
    .option('--megabytes <n>', 'size of an update', Number, 1)
    .option('--rounds <n>', 'rounds; the median counts', wholeNumber, 30)
    .option(
      '--repeat <n>',
      'whole runs, alternating with a loop that writes, flushes and hashes',
      wholeNumber,
      1,
    )
    .addOption(
      new Option('--durability <mode>', 'none: nothing is flushed').choices(['full', 'none']).default('full'),
    )
    .addOption(jsonOption())
    .action(benchRounds);
  bench
    .command('load')
    .description('thousands of clients that train nothing at one coordinator, over HTTP on this machine')
    .option('--clients <n>', 'registered clients, all connected', wholeNumber, 10_000)
    .option('--cohort <n>', 'clients in a round', wholeNumber, 1000)
    .option('--kilobytes <n>', 'size of an update', Number, 100)
    .option('--rounds <n>', 'rounds', wholeNumber, 2)
    .option(
      '--training <seconds>',
      'a training takes a random time up to this; 0: all answer at once',
      nonNegative,
      10,
    )
    .option('--wave <n>', 'clients that join at once', wholeNumber, 100)
    .addOption(
      new Option('--durability <mode>', 'none: nothing is flushed').choices(['full', 'none']).default('full'),
    )
    .addOption(jsonOption())
    .action(benchLoad);
  bench
    .command('secagg')
    .description(
      'rounds of secure aggregation with clients in processes of their own, some of which drop out',
    )
    .option('--clients <n>', 'clients of a round', wholeNumber, 64)
    .option('--params <n>', 'elements of an update', wholeNumber, 1_000_000)
    .option('--drops <n>', 'clients that drop out, each at a random step', nonNegative, 10)
    .option('--trials <n>', 'rounds; times are medians', wholeNumber, 100)
    .option('--processes <n>', 'processes that share the clients', wholeNumber, 8)
    .option(
      '--adversaries <share>',
      'largest share of clients that work together against others',
      nonNegative,
      0.1,
    )
    .option('--dropouts <share>', 'share of clients whose loss neighbourhoods are made for', nonNegative, 0.2)
    .option('--seed <n>', 'who drops out, and where', nonNegative, 1)
    .addOption(jsonOption())
    .action(benchSecagg);
  return bench;
}

async function benchTrain(options: TrainBenchOptions): Promise<void> {
  const { model, random } = await benchModel(options.model, options);
  const { batch, threads, device } = options;
  const microBatch = options.microBatch ?? (device === 'cpu' ? Math.ceil(batch / threads) : batch);
  const executor = openExecutorFor(Math.ceil(batch / microBatch), {
    device,
    threads,
    // Waiting costs processor time too.
    spinning: options.clock === 'wall',
    prepack: options.prepack,
  });
  const tuning = lora.bind(loraOptions(options), model.definition);
  const params = await tuning.init(rng('bench'), (name) => readWeight(model.weights, name));
  const engine = createEngine({ model, tuning, executor, recompute: options.recompute === true });
  const { numLogits } = model.definition.shape;
  const result = await benchTraining(engine, params, {
    batchSize: batch,
    microBatchSize: microBatch,
    length: options.seq,
    steps: options.steps,
    ...drawnFrom(model),
    seed: 0,
    nowMs: CLOCKS[options.clock],
  });
  await executor.dispose();
  show(result, { ...options, microBatch, replicas: executor.replicas }, { numLogits, random });
}

function storagesOf(text: string): Storage[] {
  const names = text.split(',');
  const unknown = names.find((name) => !(STORAGES as readonly string[]).includes(name));
  if (unknown === undefined) return names as Storage[];
  throw new InvalidArgumentError(`"${unknown}" is none of ${STORAGES.join(', ')}.`);
}

function loraOptions({ rank, targets }: TrainBenchOptions) {
  const targetModules = targets === 'all-linear' ? targets : targets.split(',');
  return lora.options.parse({ rank, alpha: 2 * rank, targetModules });
}

interface Sanity {
  readonly numLogits: number;
  readonly random: boolean;
}

function show(result: BenchResult, options: ShownOptions, { numLogits, random }: Sanity): void {
  const { headwater, onnxruntime, node, platform, cpu, memoryBytes } = describeEnvironment();
  const report = {
    engine: `headwater ${headwater} on onnxruntime-node ${onnxruntime}`,
    node,
    platform,
    processor: cpu,
    memoryMB: Math.round(memoryBytes / 2 ** 20),
    model: options.model ?? `${options.shapes} shapes, random weights`,
    device: options.device,
    storage: options.storage ?? (random ? 'float32' : 'as the model has it'),
    batch: options.batch,
    seq: options.seq,
    rank: options.rank,
    targets: options.targets,
    threads: options.threads,
    microBatch: options.microBatch,
    replicas: options.replicas,
    steps: options.steps,
    clock: options.clock,
    prepackedWeights: options.prepack,
    recompute: options.recompute === true,
    secondsPerStep: rounded(result.secondsPerStep, 4),
    tokensPerSecond: rounded(result.tokensPerSecond, 1),
    peakRssMB: Math.round(process.resourceUsage().maxRSS / 1024),
    lossAtInit: rounded(result.lossAtInit, 4),
    loss: rounded(result.loss, 4),
  };
  const rows = Object.entries(report).map(([name, value]) => [name, textOf(value)]);
  if (!options.json) console.log(renderTable({ head: ['one LoRA training step', ''], rows, numeric: false }));
  checkSanity(result, numLogits, random, options.json === true);
  if (options.json) console.log(JSON.stringify(report));
}

/** A random model knows nothing: −log(1/V) per token, a little more because its logits are not all equal. */
function checkSanity(result: BenchResult, numLogits: number, random: boolean, quiet: boolean): void {
  const chance = Math.log(numLogits);
  const plausible = !random || Math.abs(result.lossAtInit - chance) < 0.05 * chance;
  const text = `loss at init ${significant(result.lossAtInit)}, ln V = ${significant(chance)}`;
  if (!plausible || !Number.isFinite(result.loss))
    throw new HeadwaterError('RUNTIME_FAILED', `the benchmark computes nonsense: ${text}`, {
      hint: 'Its speed means nothing. Please report this with the output of `headwater doctor`.',
    });
  if (!quiet && random) console.log(paint.dim(`\nsanity: ${text}`));
}

function textOf(value: string | number | boolean): string {
  return typeof value === 'number' && value >= 10_000 ? formatCount(value) : String(value);
}

function rounded(value: number, digits: number): number {
  return Number(value.toFixed(digits));
}
