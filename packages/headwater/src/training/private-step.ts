/**
 * An optimizer step's gradient with differential privacy for each example (DP-SGD: Abadi et al. 2016; sampling and division by the
 * expected batch as in Mironov, Talwar & Zhang 2019):
 *
 *   g = (Σ_{e ∈ S} clip_C(∇L_e) + N(0, (z·s)² I)) / (q n),  each example in S on its own with probability q
 *
 * L_e is the mean of the objective over what is supervised in e, C is over all trained tensors together. It knows no accountant.
 */

import { type Rng, rng, type SeedPart } from '../base/random.ts';
import { type Params, type Tensor, tensor } from '../base/tensor.ts';
import type { Batch, TokenizedExample } from '../data/types.ts';
import { type ClippedSum, clippedSum } from '../privacy/clipped-sum.ts';
import type { RandomWords } from '../privacy/gaussian.ts';
import { secretWords } from '../privacy/secret-words.ts';
import { accumulatedGradients, type StepGradients } from './accumulate.ts';
import type { ExamplePrivacyOptions, TrainOptions } from './engine.ts';
import { meanOverTargets } from './objectives/language-modelling.ts';
import type { BoundObjective } from './objectives/objective.ts';
import type { Pass } from './pass.ts';
import type { Runner } from './runner.ts';
import { stepBatches } from './step-batches.ts';

/** Where the examples and the noise of a training come from. */
export interface PrivateSource {
  /** A Poisson sample of so many, in their order; may be empty. */
  sample(step: number, numExamples: number): number[];
  noise(step: number): RandomWords;
}

export function privateSource(
  { samplingRate, randomness }: ExamplePrivacyOptions,
  seedPath: readonly SeedPart[],
): PrivateSource {
  const words = (purpose: string, step: number) =>
    randomness === 'secret' ? secretWords() : rng(...seedPath, 'privacy', purpose, step).uint32;
  return {
    sample(step, numExamples) {
      const draw = words('sample', step);
      // Both words, so that a rate of 1 takes everything and one of 2⁻⁵³ still means something.
      const isIn = () => ((draw() >>> 5) * 2 ** 26 + (draw() >>> 6)) * 2 ** -53 < samplingRate;
      return Array.from({ length: numExamples }, (_, index) => index).filter(isIn);
    },
    noise: (step) => words('noise', step),
  };
}

export interface PrivateStep {
  /** Those that were drawn. */
  readonly examples: readonly TokenizedExample[];
  /** q n. */
  readonly expectedBatch: number;
  /** Of what is trained. */
  readonly trained: Params;
  readonly noise: RandomWords;
  readonly dropout: (pass: number) => Rng;
  readonly pass: Pass;
}

/** `loss` is the mean over the drawn examples (0 of none): it is not private. */
export async function privateGradients(
  { runner, objective }: { readonly runner: Runner; readonly objective: BoundObjective },
  params: Params,
  options: TrainOptions & { readonly privacy: ExamplePrivacyOptions },
  step: PrivateStep,
): Promise<StepGradients> {
  const { clipNorm, noiseMultiplier } = options.privacy;
  const names = [...step.trained.keys()];
  const size = [...step.trained.values()].reduce((sum, { data }) => sum + data.length, 0);
  const sum = clippedSum(size, clipNorm, noiseMultiplier);
  const together = objective.isMeanOverTargets && step.pass.part === undefined;
  const each = together && runner.differentiateEach !== undefined ? inBatches : oneByOne;
  const counted =
    step.examples.length === 0 ? NONE : await each({ runner, objective }, params, options, step, names, sum);
  const released = sum.released(step.noise);
  let end = 0;
  const grads = [...step.trained].map(([name, { shape, data }]): [string, Tensor<'float32'>] => {
    end += data.length;
    const part = released.subarray(end - data.length, end);
    return [
      name,
      tensor(
        'float32',
        shape,
        Float32Array.from(part, (x) => x / step.expectedBatch),
      ),
    ];
  });
  const numTerms = step.examples.length;
  const loss = Number.isFinite(counted.loss) ? counted.loss / Math.max(1, numTerms) : 0;
  return { ...counted, loss, numTerms, figures: {}, grads: new Map(grads) };
}

/** `loss`: a sum over examples. */
interface Counted {
  readonly loss: number;
  readonly numTargets: number;
  readonly numTokens: number;
}

const NONE: Counted = { loss: 0, numTargets: 0, numTokens: 0 };

type ByExample = (
  trained: { readonly runner: Runner; readonly objective: BoundObjective },
  params: Params,
  options: TrainOptions,
  step: PrivateStep,
  names: readonly string[],
  sum: ClippedSum,
) => Promise<Counted>;

/** Every objective and kind: a pass for each example. */
const oneByOne: ByExample = async ({ runner, objective }, params, { maxLength }, step, names, sum) => {
  let counted = NONE;
  for (const [i, example] of step.examples.entries()) {
    const alone = stepBatches(objective, runner.virtual, [example], { batchSize: 1, maxLength });
    const part = await accumulatedGradients(runner, params, alone, () => step.dropout(i), step.pass);
    sum.add(names.map((name) => part.grads.get(name)!.data));
    counted = plus(counted, part);
  }
  return counted;
};

/** Kinds with copies of their tensors by example: a pass for each micro-batch, one example a row. */
const inBatches: ByExample = async ({ runner }, params, options, step, names, sum) => {
  const { microBatchSize: batchSize, maxLength } = options;
  const { batches } = stepBatches(meanOverTargets, runner.virtual, step.examples, {
    ...{ batchSize, maxLength, order: 'length' },
  });
  let counted = NONE;
  for (const [pass, batch] of batches.entries()) {
    const loss = meanOverTargets.partOf({ ...batch, targetMask: byExample(batch) }, 1, []);
    const { frozen = NOTHING } = step.pass;
    const part = await runner.differentiateEach!(params, batch, loss, step.dropout(pass), frozen);
    for (let row = 0; row < batch.exampleIndices.length; row++)
      sum.add(names.map((name) => rowOf(part.grads.get(name)!, row)));
    counted = plus(counted, { ...batch, loss: part.loss });
  }
  return counted;
};

const NOTHING: ReadonlySet<string> = new Set();

/** Weights of target slots: in sum 1 for each example. */
function byExample({ targetMask, targetExample }: Batch): Float32Array {
  const counts = new Map<number, number>();
  for (const [slot, mask] of targetMask.entries())
    if (mask !== 0) counts.set(targetExample[slot]!, (counts.get(targetExample[slot]!) ?? 0) + 1);
  return targetMask.map((mask, slot) => (mask === 0 ? 0 : 1 / counts.get(targetExample[slot]!)!));
}

function rowOf({ shape, data }: Tensor<'float32'>, row: number): Float32Array {
  const size = data.length / shape[0]!;
  return data.subarray(row * size, (row + 1) * size);
}

function plus(a: Counted, b: Counted): Counted {
  return {
    loss: a.loss + b.loss,
    numTargets: a.numTargets + b.numTargets,
    numTokens: a.numTokens + b.numTokens,
  };
}
