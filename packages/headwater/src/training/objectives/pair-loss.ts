/**
 * Losses of pairs of answers to one prompt y_w ≻ y_l through a single number a pair, its margin
 * m = (log π(y_w|x) − log π_ref(y_w|x)) − (log π(y_l|x) − log π_ref(y_l|x)); objectives differ in what they make of it.
 * P pairs, M targets. The reference's log-likelihoods come with the examples.
 */

import { z } from 'zod';
import { assert } from '../../base/errors.ts';
import { type Tensor, tensor } from '../../base/tensor.ts';
import type { Batch, TokenizedExample } from '../../data/types.ts';
import { targetLosses } from '../../graph/cross-entropy.ts';
import type { Value } from '../../graph/ir.ts';
import { matmul, mul, reduceSum, reshape, sub } from '../../graph/ops/index.ts';
import type { BatchLoss } from '../batch-loss.ts';
import type { BoundObjective } from './objective.ts';

/** An option of all of them. */
export const lengthNormalised = z
  .boolean()
  .default(false)
  .describe(
    'Log-likelihoods are means over the tokens of an answer instead of sums, so that long answers do not count more.',
  );

export interface PairLoss {
  readonly id: string;
  /** With all options that change its graph, for labels. */
  readonly form: string;
  /** log-likelihoods are means over an answer's tokens instead of sums. */
  readonly lengthNormalised: boolean;
  /** β: the implicit reward of an answer is β log(π / π_ref). */
  readonly beta: number;
  /** Margins [P] → losses [P]. */
  of(margins: Value): Value;
}

/** The loss is the mean over the pairs of a step; its figures are the mean reward margin β m and how often it is positive. */
export function pairObjective(loss: PairLoss): BoundObjective {
  return {
    id: loss.id,
    examples: 'pairs',
    isMeanOverTargets: false,
    sequencesPerExample: 2,
    sequences: (examples) => examples.flatMap((example) => [example, rejectedOf(example)]),
    numTerms: ({ exampleIndices }) => exampleIndices.length / 2,
    partOf: (batch, numTerms, sequences) => partOf(loss, batch, numTerms, sequences),
  };
}

function rejectedOf({ rejected }: TokenizedExample): TokenizedExample {
  assert(rejected !== undefined, 'an example is no pair of answers');
  return rejected;
}

function partOf(
  loss: PairLoss,
  batch: Batch,
  numTerms: number,
  sequences: readonly TokenizedExample[],
): BatchLoss {
  const { chosen, select, reference } = terms(loss, batch, sequences);
  const numPairs = batch.batchSize / 2;
  const numSlots = batch.targetIndex.length;
  const weights = Float32Array.from({ length: numPairs }, (_, p) => (p < chosen.length ? 1 / numTerms : 0));
  return {
    form: `${numPairs} pairs by ${loss.form}`,
    feeds: new Map([
      ['targetSigns', tensor('float32', [numPairs, numSlots], select)],
      ['referenceMargins', tensor('float32', [numPairs], reference)],
      ['pairWeights', tensor('float32', [numPairs], weights)],
    ]),
    write(graph, projection, ids) {
      const input = (name: string, shape: readonly number[]) => graph.input(name, 'float32', shape);
      const nll = reshape(targetLosses(projection, ids), [numSlots, 1]);
      const own = reshape(matmul(input('targetSigns', [numPairs, numSlots]), nll), [numPairs]);
      const margins = sub(own, input('referenceMargins', [numPairs]));
      const weighted = mul(loss.of(margins), input('pairWeights', [numPairs]));
      return { loss: reduceSum(weighted, [0]), outputs: new Map([['margins', margins]]) };
    },
    figures: (outputs) => figures(loss, outputs.get('margins')!, chosen.length),
  };
}

/** `select` [P, M] turns −log p of all targets into log π(y_w) − log π(y_l): −1 (or −1/|y|) at y_w's tokens, 1 at y_l's. */
function terms(
  { lengthNormalised }: PairLoss,
  { batchSize, exampleIndices, targetExample }: Batch,
  sequences: readonly TokenizedExample[],
) {
  const chosen = exampleIndices.filter((_, i) => i % 2 === 0);
  const rowOf = new Map(chosen.map((sequence, p) => [sequence, p]));
  const scale = (sequence: number) => (lengthNormalised ? 1 / sequences[sequence]!.numTargets : 1);
  const select = new Float32Array((batchSize / 2) * targetExample.length);
  for (const [slot, sequence] of targetExample.entries()) {
    if (sequence < 0) continue;
    const isRejected = sequence % 2 === 1;
    const row = rowOf.get(isRejected ? sequence - 1 : sequence);
    assert(row !== undefined, 'both answers of a pair are in one batch');
    select[row * targetExample.length + slot] = (isRejected ? 1 : -1) * scale(sequence);
  }
  const reference = new Float32Array(batchSize / 2);
  for (const [p, sequence] of chosen.entries()) {
    const known = sequences[sequence]!.reference;
    assert(known !== undefined, 'a pair has no log-likelihoods of the reference model');
    reference[p] = known.chosen * scale(sequence) - known.rejected * scale(sequence + 1);
  }
  return { chosen, select, reference };
}

function figures({ beta }: PairLoss, margins: Tensor, numPairs: number): Record<string, number> {
  const rewards = Array.from(margins.data.slice(0, numPairs) as Float32Array, (margin) => beta * margin);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return {
    rewardMargin: sum(rewards),
    rewardAccuracy: sum(rewards.map((reward) => (reward === 0 ? 0.5 : Number(reward > 0)))),
  };
}
