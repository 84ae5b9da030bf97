/** `headwater bench generate`: tokens per second of prompts and of answers, alone and side by side, with peak memory. */

import { median } from '../base/median.ts';
import { rng } from '../base/random.ts';
import { describeEnvironment } from '../runs/environment.ts';
import type { Device } from '../runtime/executor.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { createEngine } from '../training/engine-core.ts';
import type { Generator } from '../training/generation/generator.ts';
import { frozen } from '../tuning/frozen.ts';
import { benchModel } from './bench-model.ts';
import { renderTable } from './style.ts';

export interface GenerateBenchOptions {
  readonly model?: string;
  readonly prompt: number;
  readonly newTokens: number;
  readonly batch: number;
  readonly repeat: number;
  readonly threads: number;
  readonly prepack: boolean;
  readonly device: Device;
  readonly json?: true;
}

interface Speed {
  readonly promptTokensPerSecond: number;
  readonly newTokensPerSecond: number;
}

/** Medians over the repetitions; one more comes before them, because the first compiles. */
export async function benchGenerate(options: GenerateBenchOptions): Promise<void> {
  const { model } = await benchModel(options.model);
  const { device, threads, prepack, batch } = options;
  const executor = createNodeExecutor({ device, threads, prepack, spinning: true });
  const engine = createEngine({ model, tuning: frozen, executor });
  const maxTokens = options.prompt + options.newTokens;
  const generator = engine.openGenerator(new Map(), { batchSize: batch, maxTokens });
  const speeds: Speed[] = [];
  for (let i = 0; i <= options.repeat; i++) {
    const prompts = randomPrompts(i, options, model.definition.shape.vocabSize);
    speeds.push(await speedOf(generator, prompts, options.newTokens));
  }
  await executor.dispose();
  const timed = speeds.slice(1);
  show(
    options,
    median(timed.map((speed) => speed.promptTokensPerSecond)),
    median(timed.map((speed) => speed.newTokensPerSecond)),
  );
}

/** Different each time, so that nothing is known from earlier ones. */
function randomPrompts(
  round: number,
  { batch, prompt }: GenerateBenchOptions,
  vocabSize: number,
): Int32Array[] {
  return Array.from({ length: batch }, (_, row) => {
    const stream = rng('bench', round, row);
    return Int32Array.from({ length: prompt }, () => stream.below(vocabSize));
  });
}

/** The first step takes in all prompts and gives each its first token. */
async function speedOf(
  generator: Generator,
  prompts: readonly Int32Array[],
  maxNewTokens: number,
): Promise<Speed> {
  const options = { maxNewTokens, stopTokenIds: [], temperature: 0, topP: 1, topK: 0, seedPath: ['bench'] };
  const pending = prompts.map((prompt) => generator.submit({ prompt, options }).done);
  const start = performance.now();
  await generator.step();
  const begun = performance.now();
  while (!generator.isIdle()) await generator.step();
  const end = performance.now();
  await Promise.all(pending);
  const numPrompt = prompts.reduce((sum, { length }) => sum + length, 0);
  return {
    promptTokensPerSecond: (1000 * numPrompt) / (begun - start),
    newTokensPerSecond: (1000 * prompts.length * (maxNewTokens - 1)) / (end - begun),
  };
}

function show(options: GenerateBenchOptions, promptSpeed: number, newSpeed: number): void {
  const { headwater, onnxruntime, node, cpu } = describeEnvironment();
  const report = {
    engine: `headwater ${headwater} on onnxruntime-node ${onnxruntime}`,
    node,
    processor: cpu,
    model: options.model ?? 'SmolLM2-135M shapes, random weights',
    device: options.device,
    dtype: 'float32',
    threads: options.threads,
    prepackedWeights: options.prepack,
    batch: options.batch,
    promptTokens: options.prompt,
    newTokens: options.newTokens,
    repetitions: options.repeat,
    promptTokensPerSecond: Number(promptSpeed.toFixed(1)),
    newTokensPerSecond: Number(newSpeed.toFixed(1)),
    peakRssMB: Math.round(process.resourceUsage().maxRSS / 1024),
  };
  if (options.json) console.log(JSON.stringify(report));
  else {
    const rows = Object.entries(report).map(([name, value]) => [name, String(value)]);
    console.log(renderTable({ head: ['generation, greedy', ''], rows, numeric: false }));
  }
}
