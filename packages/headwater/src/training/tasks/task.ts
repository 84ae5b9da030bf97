/**
 * An evaluation task as a record: which texts are scored for each example, and how scores become figures. Tasks see
 * examples and scores; models, tokens and batches are somebody else's.
 */

import type { z } from 'zod';
import { HeadwaterError } from '../../base/errors.ts';
import type { Example } from '../../data/types.ts';
import type { ExampleScore } from '../engine.ts';

export interface Metric {
  readonly id: string;
  readonly summary: string;
  readonly higherIsBetter: boolean;
}

/** What is scored for one example. Most tasks score the example itself. */
export interface TaskRequest {
  /** Position of the example in the caller's list. */
  readonly example: number;
  readonly texts: readonly Example[];
  /** Which of `texts` is the right one, where that has a meaning. */
  readonly answer: number;
}

/** A request with its scores, one for each text. A text cut into pieces has one score: their sums. */
export interface ScoredRequest extends TaskRequest {
  readonly scores: readonly ExampleScore[];
}

export interface EvaluationTask<O> {
  readonly id: string;
  readonly summary: string;
  readonly options: z.ZodType<O>;
  /** The first is the one that tables show. */
  readonly metrics: readonly [Metric, ...Metric[]];
  /** Omitted: each example itself. */
  requests?(examples: readonly Example[], options: O): TaskRequest[];
  /** One number a metric, by id. Throws DATA_INVALID without requests. Pure: any subset gives its own figures. */
  summarise(scored: readonly ScoredRequest[], options: O): Record<string, number>;
  /** What guessing would get in the first metric, from the labels of the test examples. */
  chance?(examples: readonly Example[], options: O): number | undefined;
}

export function plainRequests(examples: readonly Example[]): TaskRequest[] {
  return examples.map((text, example) => ({ example, texts: [text], answer: 0 }));
}

/** The score of the right text. */
export function answerScore({ scores, answer }: ScoredRequest): ExampleScore {
  return scores[answer]!;
}

export function sumOf(scored: readonly ScoredRequest[], value: (score: ExampleScore) => number): number {
  return scored.reduce((sum, request) => sum + value(answerScore(request)), 0);
}

export function requireSome(scored: readonly ScoredRequest[], task: string): void {
  if (scored.length > 0) return;
  throw new HeadwaterError('DATA_INVALID', `${task}: there are no examples to evaluate`, {
    hint: 'The test set is empty, or every example lost its targets to data.maxLength.',
  });
}

/** 1 / number of classes, from the labels where all examples have one. */
export function uniformChance(examples: readonly Example[]): number | undefined {
  const labels = new Set(examples.map(({ meta }) => meta.label));
  return labels.size === 0 || labels.has(undefined) ? undefined : 1 / labels.size;
}
