/** A held-out set is scored in jobs of a fixed size, by whatever workers there are: the same for virtual and real clients. */

import type { Recipe } from '../recipe/schema.ts';
import type { ExampleScore } from '../training/engine.ts';
import type { EvaluationSet } from './evaluation-set.ts';
import type { ScoreJob } from './jobs.ts';
import type { Pool } from './pool.ts';

/** Sequences in one scoring job: fixed, so that the batches do not depend on the number of workers. */
const SCORED_AT_ONCE = 256;

/** Scores of the set's pieces, and the workers' time. Throws what the jobs throw. */
export async function scoreSet(
  pool: Pool,
  set: EvaluationSet,
  { split, params, personal }: Pick<ScoreJob, 'split' | 'params' | 'personal'>,
  { evaluation, data }: Pick<Recipe, 'evaluation' | 'data'>,
  rank: number,
): Promise<{ readonly scores: readonly ExampleScore[]; readonly tookMs: number }> {
  const { batchSize } = evaluation;
  const { maxLength } = data;
  const jobs = [];
  for (let begin = 0; begin < set.pieces.length; begin += SCORED_AT_ONCE) {
    const end = Math.min(begin + SCORED_AT_ONCE, set.pieces.length);
    jobs.push(pool.run({ kind: 'score', split, begin, end, params, personal, batchSize, maxLength }, rank));
  }
  const done = await Promise.all(jobs);
  return {
    scores: done.flatMap(({ result }) => result),
    tookMs: done.reduce((sum, job) => sum + job.tookMs, 0),
  };
}
