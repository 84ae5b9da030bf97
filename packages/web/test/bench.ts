/**
 * `npm run bench:browser`: LoRA training of seed-lm-7m as in the quickstart, in Chromium and in Node on the same machine, in
 * turn. Prints tokens per second, how much of it is ONNX Runtime, and how long the page's main thread was ever blocked; then the
 * bytes of a first and a second visit to the built pages (`npm run build:web` before).
 *
 *   --variants   also other threads, kernels and packing
 */

import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { build } from 'vite';
import { rng } from '../../headwater/src/base/random.ts';
import { openCheckpoint, readWeight } from '../../headwater/src/models/checkpoint-node.ts';
import { createNodeExecutor } from '../../headwater/src/runtime/onnx-node.ts';
import type { TrainOptions } from '../../headwater/src/training/engine.ts';
import { createEngine } from '../../headwater/src/training/engine-core.ts';
import { lora } from '../../headwater/src/tuning/lora.ts';
import type { OpenRequest } from './pages/commands.ts';
import { launchChromium } from './support/chromium.ts';
import { assets, clincExamples } from './support/clinc.ts';
import { descendantsCpuSeconds } from './support/cpu-time.ts';
import { modelFiles, openEnginePage, paramsText, plain, startEngineServer } from './support/engine-page.ts';
import { openOwnerScene } from './support/owner-scene.ts';
import type { StaticServer } from './support/static-server.ts';
import { domains } from './support/subjects.ts';
import { measureVisits } from './support/visits.ts';

const LORA = { rank: 16, alpha: 32, targetModules: 'all-linear' };
const STEPS = 4;
const REPEATS = 3;

/** The quickstart's training (recipes/quickstart.yaml), four steps. */
const OPTIONS: TrainOptions = {
  optimizer: {
    ...{ kind: 'adamw', learningRate: 2e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
    ...{ weightDecay: 0, momentum: 0 },
  },
  schedule: { kind: 'linear', warmupSteps: 0, minFactor: 0 },
  ...{ steps: STEPS, stepOffset: 0, totalSteps: STEPS, batchSize: 8, microBatchSize: 8 },
  ...{ maxLength: 64, packing: false, seedPath: ['bench'] },
};

interface Run {
  /** Milliseconds of each step. */
  readonly times: readonly number[];
  /** Of all steps, milliseconds inside ONNX Runtime, where that is known. */
  readonly insideMs?: number;
  readonly meanLoss: number;
}

/** One contestant: trains the same steps again and again. */
interface Contestant {
  readonly name: string;
  /** Milliseconds of each step, and of all steps inside ONNX Runtime where that is known. */
  train(): Promise<{
    readonly times: readonly number[];
    readonly insideMs?: number;
    readonly meanLoss: number;
  }>;
  close(): Promise<string>;
  /** Processor time so far; undefined where nobody says. */
  readonly cpuSeconds: () => number | undefined;
}

async function subject() {
  const folder = join(assets, 'seed-lm-7m');
  const model = await openCheckpoint(folder);
  const tuning = lora.bind(lora.options.parse(LORA), model.definition);
  const params = await tuning.init(
    rng('bench', 'init'),
    (name) => readWeight(model.weights, name),
    async () => {
      throw new Error('no text here');
    },
  );
  return { model, tuning, params, examples: await clincExamples(STEPS * 8) };
}

type Bench = Awaited<ReturnType<typeof subject>>;

async function nodeContestant(
  { model, tuning, params, examples }: Bench,
  threads: number,
): Promise<Contestant> {
  const executor = createNodeExecutor({ threads, prepack: true });
  const engine = createEngine({ model, tuning, executor });
  return {
    name: `Node CPU, ${threads} threads`,
    async train() {
      const times: number[] = [];
      let last = performance.now();
      const { meanLoss } = await engine.train(params, examples, OPTIONS, () => {
        times.push(performance.now() - last);
        last = performance.now();
      });
      return { times, meanLoss };
    },
    cpuSeconds: () => {
      const { user, system } = process.cpuUsage();
      return (user + system) / 1e6;
    },
    async close() {
      await executor.dispose();
      return '';
    },
  };
}

type Variant = Pick<OpenRequest, 'backend' | 'threads' | 'kernels' | 'prepack'>;

async function tabContestant(
  browser: Browser,
  server: StaticServer,
  { params, examples }: Bench,
  variant: Variant,
): Promise<Contestant> {
  const tab = await openEnginePage(browser, server);
  const model = '/assets-of-headwater/seed-lm-7m';
  await tab.call('open', {
    ...{ model, files: modelFiles(model), tuning: { kind: 'lora', options: LORA } },
    ...variant,
  });
  await tab.call('take', { params: paramsText(params), examples: examples.map(plain) });
  const longTasks = () =>
    tab.page.evaluate(() => (globalThis as unknown as { longTasks: number[] }).longTasks.splice(0));
  await longTasks();
  return {
    name: `tab, ${JSON.stringify(variant)}`,
    train: () => tab.call('train', OPTIONS),
    cpuSeconds: descendantsCpuSeconds,
    async close() {
      const longest = Math.max(0, ...(await longTasks()));
      const speed = await tab.call('matmulSpeed', null);
      await tab.close();
      return `main thread blocked for ${longest} ms at most; products at ${speed.toFixed(1)} GFLOP/s`;
    },
  };
}

interface Watched extends Run {
  readonly cpuSeconds: number;
}

async function watched({ train, cpuSeconds }: Contestant): Promise<Watched> {
  const before = cpuSeconds() ?? Number.NaN;
  const run = await train();
  return { ...run, cpuSeconds: (cpuSeconds() ?? Number.NaN) - before };
}

/**
 * In turn; the first training makes the sessions. Of each step its fastest time counts, and the least processor time of a
 * training: other work on the machine only adds.
 */
async function race(contestants: readonly Contestant[], numTokens: number): Promise<void> {
  for (const contestant of contestants) await contestant.train();
  const runs = contestants.map(() => [] as Watched[]);
  for (let repeat = 0; repeat < REPEATS; repeat++)
    for (const [i, contestant] of contestants.entries()) runs[i]!.push(await watched(contestant));
  for (const [i, { name, close }] of contestants.entries()) {
    console.log(`${name}: ${summary(runs[i]!, numTokens)}`);
    const about = await close();
    if (about !== '') console.log(`  ${about}`);
  }
}

function summary(runs: readonly Watched[], numTokens: number): string {
  const best = OPTIONS_STEPS.map((step) => Math.min(...runs.map(({ times }) => times[step]!)));
  const totalMs = best.reduce((sum, ms) => sum + ms, 0);
  const cpuMs = (1000 * Math.min(...runs.map(({ cpuSeconds }) => cpuSeconds))) / numTokens;
  const shares = runs.flatMap(({ insideMs, times }) =>
    insideMs === undefined ? [] : [insideMs / times.reduce((sum, ms) => sum + ms, 0)],
  );
  return [
    `${((1000 * numTokens) / totalMs).toFixed(0)} tokens/s`,
    `${cpuMs.toFixed(2)} ms of processor time a token`,
    ...(shares.length === 0 ? [] : [`${Math.round(100 * median(shares))} % in ONNX Runtime`]),
    `mean loss ${runs[0]!.meanLoss.toFixed(5)}`,
  ].join(', ');
}

const OPTIONS_STEPS = Array.from({ length: STEPS }, (_, step) => step);

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

const BEST: Variant = { backend: 'wasm-threads', threads: 2 };
const SINGLE: Variant = { backend: 'wasm', threads: 1 };
const VARIANTS: readonly Variant[] = [
  BEST,
  { ...BEST, prepack: true },
  { ...BEST, kernels: 'portable' },
  { ...BEST, kernels: 'portable', prepack: true },
  SINGLE,
];

async function main(): Promise<void> {
  const configFile = join(import.meta.dirname, '../vite.config.ts');
  await build({ configFile, logLevel: 'warn', mode: 'test' });
  const bench = await subject();
  const server = await startEngineServer();
  const browser = await launchChromium();
  const { length } = cpus();
  console.log(`${length} × ${cpus()[0]?.model}, Node ${process.version}, Chromium ${browser.version()}`);
  try {
    const variants = process.argv.includes('--variants') ? VARIANTS : [BEST, SINGLE];
    const contestants = [await nodeContestant(bench, 2), await nodeContestant(bench, 1)];
    for (const variant of variants) contestants.push(await tabContestant(browser, server, bench, variant));
    const numTokens = bench.examples.reduce((sum, { tokens }) => sum + tokens.length, 0);
    await race(contestants, numTokens);
    await visits();
  } finally {
    await browser.close();
    await server.close();
  }
}

async function visits(): Promise<void> {
  const subject = domains();
  const scene = await openOwnerScene(join(assets, 'web'), subject);
  const profile = mkdtempSync(join(tmpdir(), 'headwater-profile-'));
  try {
    const [first, second] = await measureVisits(scene, subject, profile);
    console.log(
      `bytes down: ${first} at the first visit (code, WebAssembly, weights, one round), ${second} at the second`,
    );
  } finally {
    await scene.close();
    rmSync(profile, { recursive: true, force: true, maxRetries: 3 });
  }
}

await main();
