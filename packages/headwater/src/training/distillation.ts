/**
 * Distributions over the vocabulary as targets of training, and read out of a network for others to learn. It knows
 * examples and batches, not where a distribution came from.
 */

import { assert } from '../base/errors.ts';
import { type Params, type Tensor, tensor } from '../base/tensor.ts';
import type { Batch, TokenizedExample } from '../data/types.ts';
import { crossEntropy } from '../graph/cross-entropy.ts';
import { softCrossEntropy } from '../graph/distillation.ts';
import { add } from '../graph/ops/index.ts';
import type { BatchLoss } from './batch-loss.ts';
import type { BoundObjective } from './objectives/objective.ts';
import type { Runner } from './runner.ts';
import type { DistributionOptions, ScoredDistributions, Teacher } from './teacher.ts';
import { batchesBehind } from './virtual-tokens.ts';

/**
 * What a training with a teacher minimises: the mean over the targets of a step. Examples are found by identity, so that those
 * of the training must be the ones that the teacher knows.
 */
export function taughtBy(teacher: Teacher): BoundObjective {
  return {
    id: 'distillation',
    isMeanOverTargets: false,
    sequencesPerExample: 1,
    sequences: (examples) => examples,
    numTerms: ({ numTargets }) => numTargets,
    partOf: (batch, numTerms, examples) => partOf(teacher, batch, numTerms, examples),
  };
}

function partOf(
  teacher: Teacher,
  batch: Batch,
  numTerms: number,
  examples: readonly TokenizedExample[],
): BatchLoss {
  const { topK: k, temperature, weight } = teacher;
  const M = batch.targetMask.length;
  const { ids, probabilities, isTaught } = rowsOf(teacher, batch, examples);
  const labels = batch.targetMask.map((mask) => ((1 - weight) * mask) / numTerms);
  const soft = isTaught.map((one) => (one * weight * temperature ** 2) / numTerms);
  return {
    form: `distillation of ${k} at temperature ${temperature}`,
    feeds: new Map<string, Tensor>([
      ['targetWeights', tensor('float32', [M], labels)],
      ['softIds', tensor('int32', [M, k], ids)],
      ['softProbabilities', tensor('float32', [M, k], probabilities)],
      ['softWeights', tensor('float32', [M], soft)],
      ['negativeEntropy', tensor('float32', [], Float32Array.of(negativeEntropy(probabilities, soft)))],
    ]),
    write(graph, projection, targetIds) {
      const input = (name: string, shape: readonly number[]) => graph.input(name, 'float32', shape);
      const q = {
        ids: graph.input('softIds', 'int32', [M, k]),
        probabilities: input('softProbabilities', [M, k]),
      };
      const ofLabels = crossEntropy(projection, targetIds, input('targetWeights', [M]));
      const ofTeacher = softCrossEntropy(projection, q, input('softWeights', [M]), temperature);
      return { loss: add(add(ofLabels, ofTeacher), input('negativeEntropy', [])) };
    },
  };
}

/** q of every target slot, and 1 where there is one. */
function rowsOf(teacher: Teacher, batch: Batch, examples: readonly TokenizedExample[]) {
  const { topK: k } = teacher;
  const M = batch.targetMask.length;
  const [ids, probabilities, isTaught] = [
    new Int32Array(M * k),
    new Float32Array(M * k),
    new Float32Array(M),
  ];
  forEachTarget(batch, (slot, example, nth) => {
    const known = teacher.of(examples[example]!);
    if (known === undefined) return;
    const row = [nth * k, (nth + 1) * k] as const;
    assert(known.ids.length >= row[1], `target ${nth} of ${known.ids.length / k} distributions`);
    ids.set(known.ids.subarray(...row), slot * k);
    probabilities.set(known.probabilities.subarray(...row), slot * k);
    isTaught[slot] = 1;
  });
  return { ids, probabilities, isTaught };
}

/** Σ_i w_i Σ_v q_i(v) log q_i(v): what makes of a cross-entropy against q a divergence. */
function negativeEntropy(probabilities: Float32Array, weights: Float32Array): number {
  const k = probabilities.length / weights.length;
  const terms = Float64Array.from(probabilities, (q, i) =>
    q > 0 ? weights[Math.floor(i / k)]! * q * Math.log(q) : 0,
  );
  return terms.reduce((sum, term) => sum + term, 0);
}

/** The likeliest tokens of every target of every example, teacher-forced and without dropout. */
export async function distributionsOf(
  runner: Runner,
  params: Params,
  examples: readonly TokenizedExample[],
  options: DistributionOptions & { readonly batchSize: number; readonly maxLength: number },
): Promise<ScoredDistributions[]> {
  const { topK: k, temperature, batchSize, maxLength } = options;
  const found = examples.map((example) => emptyFor(example, k));
  for (const batch of batchesBehind(runner.virtual, examples, { batchSize, maxLength, order: 'length' })) {
    const pass = await runner.likeliest(params, batch, { topK: k, temperature });
    forEachTarget(batch, (slot, example, nth) => {
      const own = found[example]!;
      const row = [slot * pass.k, (slot + 1) * pass.k] as const;
      own.ids.set(pass.ids.subarray(...row), nth * k);
      own.probabilities.set(pass.probabilities.subarray(...row), nth * k);
      own.nll += pass.nll[slot]!;
      own.numTargets += 1;
    });
  }
  return found;
}

function emptyFor({ numTargets: n }: TokenizedExample, k: number) {
  return { ids: new Int32Array(n * k), probabilities: new Float32Array(n * k), nll: 0, numTargets: 0 };
}

/** Targets of an example follow one another in a batch. */
function forEachTarget(batch: Batch, visit: (slot: number, example: number, nth: number) => void): void {
  const seen = new Map<number, number>();
  for (const [slot, example] of batch.targetExample.entries()) {
    if (example < 0) continue;
    const nth = seen.get(example) ?? 0;
    seen.set(example, nth + 1);
    visit(slot, example, nth);
  }
}
