/** Teacher-forced scores of examples: batches of similar length in, one score per example out, in the caller's order. */

import type { Params } from '../base/tensor.ts';
import type { Batch, TokenizedExample } from '../data/types.ts';
import type { ExampleScore } from './engine.ts';
import type { Runner } from './runner.ts';
import { batchesBehind } from './virtual-tokens.ts';

type Score = { -readonly [K in keyof ExampleScore]: ExampleScore[K] };

export async function scoreExamples(
  runner: Runner,
  params: Params,
  examples: readonly TokenizedExample[],
  options: { readonly batchSize: number; readonly maxLength: number },
): Promise<ExampleScore[]> {
  const scores: Score[] = examples.map(() => ({ nll: 0, numTargets: 0, numCorrect: 0 }));
  for (const batch of batchesBehind(runner.virtual, examples, { ...options, order: 'length' })) {
    const { nll, argMax } = await runner.score(params, batch);
    forEachTarget(batch, (slot, example) => {
      const score = scores[example]!;
      score.nll += nll[slot]!;
      score.numTargets += 1;
      const [target, predicted] = [batch.targetIds[slot]!, argMax[slot]!];
      score.numCorrect += predicted === target ? 1 : 0;
      if (examples[example]!.classId !== undefined) score.classified = { target, predicted };
    });
  }
  return scores;
}

function forEachTarget(batch: Batch, visit: (slot: number, example: number) => void): void {
  for (const [slot, mask] of batch.targetMask.entries())
    if (mask !== 0) visit(slot, batch.targetExample[slot]!);
}
