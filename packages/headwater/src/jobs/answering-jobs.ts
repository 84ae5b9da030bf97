/** A held-out set as jobs of a fixed size: what they are does not depend on who does them, or on how many do. */

import type { Recipe } from '../recipe/schema.ts';
import { bucketLength } from '../training/generation/pieces.ts';
import { longestWriting } from './evaluation-prompts.ts';
import type { EvaluationSet } from './evaluation-set.ts';
import type { ScoreJob, WriteJob } from './jobs.ts';

/** Sequences in one scoring job: fixed, so that the batches do not depend on the number of workers. */
const SCORED_AT_ONCE = 256;
/** Texts in one writing job. */
const WRITTEN_AT_ONCE = 64;

export interface AnsweringJobs {
  readonly score: readonly ScoreJob[];
  readonly write: readonly WriteJob[];
}

export function answeringJobs(
  set: Pick<EvaluationSet, 'pieces' | 'prompts'>,
  what: Pick<ScoreJob, 'split' | 'params' | 'personal'>,
  { evaluation, data }: Pick<Recipe, 'evaluation' | 'data'>,
): AnsweringJobs {
  const { batchSize } = evaluation;
  const { maxLength } = data;
  const maxTokens = writingTokens(set);
  return {
    score: spans(set.pieces.length, SCORED_AT_ONCE).map((span) => {
      return { kind: 'score', ...what, ...span, batchSize, maxLength };
    }),
    write: spans(set.prompts.length, WRITTEN_AT_ONCE).map((span) => {
      return { kind: 'write', ...what, ...span, batchSize, maxTokens };
    }),
  };
}

/** Few capacities: each is a session of its own. */
export function writingTokens({ prompts }: Pick<EvaluationSet, 'prompts'>): number {
  return bucketLength(longestWriting(prompts));
}

function spans(count: number, size: number): { readonly begin: number; readonly end: number }[] {
  return Array.from({ length: Math.ceil(count / size) }, (_, i) => {
    return { begin: i * size, end: Math.min((i + 1) * size, count) };
  });
}
