/** Loss and gradients of an optimizer step from several passes: the mean over all supervised targets of the step. */

import { HeadwaterError } from '../base/errors.ts';
import type { Rng } from '../base/random.ts';
import type { Params, Tensor } from '../base/tensor.ts';
import type { Batch } from '../data/types.ts';
import type { Pass } from './pass.ts';
import type { Runner } from './runner.ts';

export interface StepGradients {
  /** Mean −log p over the targets, nats. */
  readonly loss: number;
  readonly grads: Map<string, Tensor<'float32'>>;
  readonly numTargets: number;
  readonly numTokens: number;
}

/** `dropout(i)` is the stream of pass i; omitted: no dropout. Throws DATA_INVALID when nothing is supervised. */
export async function accumulatedGradients(
  runner: Runner,
  params: Params,
  batches: readonly Batch[],
  dropout?: (pass: number) => Rng,
  which?: Pass,
): Promise<StepGradients> {
  const { numTargets, numTokens } = countsOf(batches);
  let loss = 0;
  let grads: Map<string, Tensor<'float32'>> | undefined;
  for (const [pass, batch] of batches.entries()) {
    const weights = batch.targetMask.map((mask) => mask / numTargets);
    const part = await runner.differentiate(params, batch, weights, dropout?.(pass), which);
    loss += part.loss;
    if (grads === undefined) grads = part.grads;
    else addTo(grads, part.grads);
  }
  return { loss, grads: grads!, numTargets, numTokens };
}

/** Loss and gradients as `estimate` makes them from losses of these batches. Throws DATA_INVALID as above. */
export async function estimatedGradients(
  runner: Runner,
  batches: readonly Batch[],
  estimate: (loss: (params: Params) => Promise<number>) => Promise<{ loss: number; grads: Params }>,
): Promise<StepGradients> {
  const { numTargets, numTokens } = countsOf(batches);
  const { loss, grads } = await estimate((point) => meanLoss(runner, point, batches, numTargets));
  return { loss, grads: new Map(grads), numTargets, numTokens };
}

async function meanLoss(
  runner: Runner,
  params: Params,
  batches: readonly Batch[],
  numTargets: number,
): Promise<number> {
  let sum = 0;
  for (const batch of batches) {
    const { nll } = await runner.score(params, batch);
    for (const [slot, mask] of batch.targetMask.entries()) sum += mask === 0 ? 0 : nll[slot]!;
  }
  return sum / numTargets;
}

function countsOf(batches: readonly Batch[]): { readonly numTargets: number; readonly numTokens: number } {
  const numTargets = batches.reduce((sum, batch) => sum + batch.numTargets, 0);
  const numTokens = batches.reduce((sum, batch) => sum + batch.numTokens, 0);
  if (numTargets === 0)
    throw new HeadwaterError('DATA_INVALID', 'none of the examples of this step has a supervised token', {
      hint: 'Prompts may fill data.maxLength: raise it, or check that completions are not empty.',
    });
  return { numTargets, numTokens };
}

function addTo(sum: Params, part: Params): void {
  for (const [name, { data }] of sum) {
    const more = part.get(name)!.data;
    for (let i = 0; i < data.length; i++) data[i] = data[i]! + more[i]!;
  }
}
