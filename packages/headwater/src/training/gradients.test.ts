/** End to end, in float64: the gradient of a batch is the derivative of its score, for every architecture and kind. */

import { expect, it } from 'vitest';
import {
  float64,
  interpretingExecutor,
  randomModel,
  type SmallModel,
} from '../../test/support/random-models.ts';
import { rng } from '../base/random.ts';
import type { Params } from '../base/tensor.ts';
import type { TokenizedExample } from '../data/types.ts';
import { ARCHITECTURES } from '../models/registry.ts';
import type { BoundTuning } from '../tuning/kind.ts';
import { tuningKinds } from '../tuning/registry.ts';
import { accumulatedGradients, targetBatches } from './accumulate.ts';
import { createRunner, type Runner } from './runner.ts';
import { batchesBehind } from './virtual-tokens.ts';

/** Kinds that every architecture is checked with, and their options. */
const EVERYWHERE: Readonly<Record<string, unknown>> = {
  full: {},
  lora: { rank: 2, alpha: 3 },
  'prefix-tuning': { numVirtualTokens: 2 },
  'prompt-tuning': { numVirtualTokens: 2 },
};
/** The others on one decoder, which has biases, and on one encoder. */
const ONCE: Readonly<Record<string, unknown>> = {
  'p-tuning': { numVirtualTokens: 2 },
  bitfit: {},
  adapter: { reductionFactor: 2, nonLinearity: 'tanh' },
  ia3: {},
  layers: { layers: 'last:1' },
};
const ELSEWHERE: Readonly<Record<string, string>> = {
  dora: 'its norm is detached in the backward pass, so its gradient is not the derivative',
  head: 'decoders have no classification head; `full` trains it in encoders',
};

const seed = 1;
const CASES = [...ARCHITECTURES.keys()].flatMap((architecture) => {
  const alone = architecture === 'gpt2' || architecture === 'bert';
  return Object.entries({ ...EVERYWHERE, ...(alone ? ONCE : {}) }).map(
    ([kind, options]) => [architecture, kind, options] as const,
  );
});

it.each(CASES)('%s, %s: the directional derivative equals central differences', async (id, kind, options) => {
  const model = randomModel(id, seed);
  const tuning = bound(kind, options, model);
  const runner = createRunner({ model, tuning, executor: interpretingExecutor() });
  const params = await values(tuning, model);
  const batches = batchesOf(model, tuning);
  const { grads } = await accumulatedGradients(runner, params, targetBatches(batches));
  const direction = unitDirection(tuning);
  const predicted = sumOfProducts(grads, direction);
  const measured = await derivative((step) => meanLoss(runner, moved(params, direction, step), batches));
  // A random unit direction sees ‖g‖/√n of the gradient; 1e-10 is the rounding of the differences.
  const scale = Math.sqrt(sumOfProducts(grads, grads) / sizeOf(direction));
  expect(scale).toBeGreaterThan(0);
  expect(Math.abs(measured - predicted)).toBeLessThan(1e-6 * scale + 1e-10);
});

it.each([...ARCHITECTURES.keys()])(
  '%s: blocks that are computed again give the same gradient',
  async (id) => {
    const model = randomModel(id, seed);
    const tuning = bound('lora', EVERYWHERE.lora, model);
    const params = await values(tuning, model);
    const batches = batchesOf(model, tuning);
    const gradientOf = (recompute: boolean) =>
      accumulatedGradients(
        createRunner({ model, tuning, executor: interpretingExecutor(), recompute }),
        params,
        targetBatches(batches),
      );
    const [kept, again] = [await gradientOf(false), await gradientOf(true)];
    for (const [name, { data }] of kept.grads) expect([...again.grads.get(name)!.data]).toEqual([...data]);
  },
);

it('no kind is left out', () => {
  const known = [EVERYWHERE, ONCE, ELSEWHERE].flatMap((table) => Object.keys(table));
  expect(known.sort()).toEqual([...tuningKinds.keys()].sort());
});

function bound(kind: string, options: unknown, { definition }: SmallModel): BoundTuning {
  const record = tuningKinds.get(kind)!;
  return record.bind(record.options.parse(options), definition);
}

/** Fresh values moved a little, so that nothing is zero (LoRA's B) and nothing large. */
async function values(tuning: BoundTuning, { tensors }: SmallModel): Promise<Params> {
  const fresh = await tuning.init(rng('gradients', seed), async (name) => tensors.get(name)!.data);
  return new Map(
    [...fresh].map(([name, { shape, data }]) => {
      const random = rng('gradients', name);
      return [
        name,
        float64(
          shape,
          Float64Array.from(data, (x) => x + 0.3 * random.normal()),
        ),
      ];
    }),
  );
}

/** Rows of one and of two sequences, of unequal lengths; one class a sequence where that is what the model learns. */
function batchesOf({ definition }: SmallModel, { virtual }: BoundTuning) {
  const random = rng('gradients', 'data');
  const isClassifier = definition.objective === 'sequence-classification';
  const examples = [4, 7, 2].map((length): TokenizedExample => {
    const tokens = Int32Array.from({ length }, () => 2 + random.below(definition.shape.vocabSize - 2));
    const supervised = Uint8Array.from(tokens, (_, i) => (isClassifier || i === 0 ? 0 : 1));
    const classId = random.below(3);
    return isClassifier
      ? { tokens, supervised, numTargets: 1, classId }
      : { tokens, supervised, numTargets: length - 1 };
  });
  return batchesBehind(virtual, examples, { batchSize: 2, maxLength: 7, packing: !isClassifier });
}

type Batches = ReturnType<typeof batchesOf>;

/** Mean −log p by the program that only scores. */
async function meanLoss(runner: Runner, params: Params, batches: Batches): Promise<number> {
  let [sum, count] = [0, 0];
  for (const batch of batches) {
    const { nll } = await runner.score(params, batch);
    for (const [i, value] of nll.entries()) sum += value * batch.targetMask[i]!;
    count += batch.numTargets;
  }
  return sum / count;
}

/** Central difference at 0; so small a step hardly ever crosses a kink of relu. */
async function derivative(f: (step: number) => Promise<number>): Promise<number> {
  const step = 1e-5;
  return ((await f(step)) - (await f(-step))) / (2 * step);
}

function unitDirection(tuning: BoundTuning): Params {
  const random = rng('gradients', 'direction');
  const raw = tuning.tensors.map(({ name, shape }) => {
    const size = shape.reduce((a, b) => a * b, 1);
    return { name, shape, data: Float64Array.from({ length: size }, () => random.normal()) };
  });
  const norm = Math.hypot(...raw.map(({ data }) => Math.hypot(...data)));
  return new Map(
    raw.map(({ name, shape, data }) => [
      name,
      float64(
        shape,
        data.map((x) => x / norm),
      ),
    ]),
  );
}

function moved(params: Params, direction: Params, step: number): Params {
  return new Map(
    [...params].map(([name, { shape, data }]) => {
      const along = direction.get(name)!.data;
      return [
        name,
        float64(
          shape,
          Float64Array.from(data, (x, i) => x + step * along[i]!),
        ),
      ];
    }),
  );
}

function sumOfProducts(a: Params, b: Params): number {
  let sum = 0;
  for (const [name, { data }] of a) {
    const other = b.get(name)!.data;
    for (let i = 0; i < data.length; i++) sum += data[i]! * other[i]!;
  }
  return sum;
}

function sizeOf(params: Params): number {
  return [...params.values()].reduce((sum, { data }) => sum + data.length, 0);
}
