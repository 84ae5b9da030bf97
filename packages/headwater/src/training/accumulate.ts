/** Loss and gradients of an optimizer step from several passes: the mean over what the objective counts in the step. */

import { HeadwaterError } from '../base/errors.ts';
import type { Rng } from '../base/random.ts';
import type { Params, Tensor } from '../base/tensor.ts';
import type { Batch, TokenizedExample } from '../data/types.ts';
import type { BatchLoss } from './batch-loss.ts';
import { meanOverTargets } from './objectives/language-modelling.ts';
import type { BoundObjective } from './objectives/objective.ts';
import type { Pass } from './pass.ts';
import type { Runner } from './runner.ts';
import { sideBySide } from './side-by-side.ts';

export interface StepLoss {
  /** Mean over `numTerms`; of language modelling −log p, nats. */
  readonly loss: number;
  /** What the loss is a mean over: targets, pairs. */
  readonly numTerms: number;
  /** Means of what else the objective has to say, by name. */
  readonly figures: Readonly<Record<string, number>>;
  readonly numTargets: number;
  readonly numTokens: number;
}

export interface StepGradients extends StepLoss {
  readonly grads: Map<string, Tensor<'float32'>>;
}

/** Batches of the sequences that an objective makes of a step's examples. */
export interface StepBatches {
  readonly objective: BoundObjective;
  readonly sequences: readonly TokenizedExample[];
  readonly batches: readonly Batch[];
}

/** Batches of examples as they are. */
export function targetBatches(batches: readonly Batch[]): StepBatches {
  return { objective: meanOverTargets, sequences: [], batches };
}

/** `dropout(i)` is the stream of pass i; omitted: no dropout. Throws DATA_INVALID when nothing is supervised. */
export async function accumulatedGradients(
  runner: Runner,
  params: Params,
  step: StepBatches,
  dropout?: (pass: number) => Rng,
  which?: Pass,
): Promise<StepGradients> {
  const counts = countsOf(step);
  const sum = new Sum();
  let grads: Map<string, Tensor<'float32'>> | undefined;
  const parts = partsOf(step, counts.numTerms);
  const differentiate = ({ batch, loss }: Part, pass: number) =>
    runner.differentiate(params, batch, loss, dropout?.(pass), which);
  for await (const part of sideBySide(parts, runner.replicas, differentiate)) {
    sum.add(part);
    if (grads === undefined) grads = part.grads;
    else addTo(grads, part.grads);
  }
  return { ...sum.over(counts.numTerms), ...counts, grads: grads! };
}

/** Loss and gradients as `estimate` makes them from losses of these batches. Throws DATA_INVALID as above. */
export async function estimatedGradients(
  runner: Runner,
  step: StepBatches,
  estimate: (loss: (params: Params) => Promise<number>) => Promise<{ loss: number; grads: Params }>,
): Promise<StepGradients> {
  const { loss, grads } = await estimate(async (point) => (await accumulatedLoss(runner, point, step)).loss);
  return { loss, grads: new Map(grads), figures: {}, ...countsOf(step) };
}

/** The loss alone, without dropout. Throws DATA_INVALID as above. */
export async function accumulatedLoss(runner: Runner, params: Params, step: StepBatches): Promise<StepLoss> {
  const counts = countsOf(step);
  if (step.objective.isMeanOverTargets)
    return { loss: await meanScore(runner, params, step.batches, counts.numTargets), figures: {}, ...counts };
  const sum = new Sum();
  const parts = partsOf(step, counts.numTerms);
  const lossOf = ({ batch, loss }: Part) => runner.loss(params, batch, loss);
  for await (const part of sideBySide(parts, runner.replicas, lossOf)) sum.add(part);
  return { ...sum.over(counts.numTerms), ...counts };
}

/** By the program that evaluations use too. */
async function meanScore(
  runner: Runner,
  params: Params,
  batches: readonly Batch[],
  numTargets: number,
): Promise<number> {
  let sum = 0;
  const score = async (batch: Batch) => ({ batch, nll: (await runner.score(params, batch)).nll });
  for await (const { batch, nll } of sideBySide(batches, runner.replicas, score))
    for (const [slot, mask] of batch.targetMask.entries()) sum += mask === 0 ? 0 : nll[slot]!;
  return sum / numTargets;
}

interface Part {
  readonly batch: Batch;
  readonly loss: BatchLoss;
}

function partsOf({ objective, sequences, batches }: StepBatches, numTerms: number): Part[] {
  return batches.map((batch) => ({ batch, loss: objective.partOf(batch, numTerms, sequences) }));
}

function countsOf({
  objective,
  batches,
}: StepBatches): Pick<StepLoss, 'numTerms' | 'numTargets' | 'numTokens'> {
  const total = (of: (batch: Batch) => number) => batches.reduce((sum, batch) => sum + of(batch), 0);
  const numTargets = total((batch) => batch.numTargets);
  if (numTargets === 0)
    throw new HeadwaterError('DATA_INVALID', 'none of the examples of this step has a supervised token', {
      hint: 'Prompts may fill data.maxLength: raise it, or check that completions are not empty.',
    });
  const numTerms = total((batch) => objective.numTerms(batch));
  return { numTerms, numTargets, numTokens: total((batch) => batch.numTokens) };
}

/** Losses are parts of a mean already, figures are sums. */
class Sum {
  #loss = 0;
  readonly #figures = new Map<string, number>();

  add({ loss, figures }: Pick<StepLoss, 'loss' | 'figures'>): void {
    this.#loss += loss;
    for (const [name, value] of Object.entries(figures))
      this.#figures.set(name, (this.#figures.get(name) ?? 0) + value);
  }

  over(numTerms: number): Pick<StepLoss, 'loss' | 'figures'> {
    const means = [...this.#figures].map(([name, value]) => [name, value / numTerms] as const);
    return { loss: this.#loss, figures: Object.fromEntries(means) };
  }
}

function addTo(sum: Params, part: Params): void {
  for (const [name, { data }] of sum) {
    const more = part.get(name)!.data;
    for (let i = 0; i < data.length; i++) data[i] = data[i]! + more[i]!;
  }
}
