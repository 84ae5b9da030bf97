/**
 * An evaluation task as a record: which texts are scored and which are written for each example, which programs are run,
 * and how all that becomes figures. Tasks see examples and answers; models, tokens and processes are somebody else's.
 */

import type { z } from 'zod';
import { HeadwaterError } from '../../base/errors.ts';
import { pairOf } from '../../data/pairs.ts';
import type { ChatMessage, Example } from '../../data/types.ts';
import type { ExampleScore } from '../engine.ts';
import type { Language, Program, ProgramRun } from './program.ts';

export interface Metric {
  readonly id: string;
  readonly summary: string;
  readonly higherIsBetter: boolean;
  /** Tables show how far it is from the base model's. */
  readonly comparedWithBase?: boolean;
}

/** How a text is written; part of the result. */
export interface Decoding {
  readonly maxNewTokens: number;
  /** The text ends before the first of these. */
  readonly stop: readonly string[];
  /** 0: greedy. */
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
}

/** Texts that the model shall write from one prompt. */
export interface WritingRequest {
  /** Text to continue, or a chat to answer. */
  readonly prompt: string | readonly ChatMessage[];
  readonly decoding: Decoding;
  /** So many texts, each with its own random stream. */
  readonly samples: number;
}

/** What is scored and written for one example. Most tasks score the example itself. */
export interface TaskRequest {
  /** Position of the example in the caller's list; −1: of none, such as general text. */
  readonly example: number;
  readonly texts: readonly Example[];
  /** Which of `texts` is the right one, where that has a meaning. */
  readonly answer: number;
  /** What is chosen from, where nothing of it is scored. */
  readonly choices?: readonly string[];
  readonly writing?: WritingRequest;
  /** Names under which its figures are also told for themselves: subject, category. */
  readonly groups?: readonly string[];
}

/**
 * A request with its scores, one for each text, and what was written, one text a sample. A text cut into pieces has one
 * score: their sums.
 */
export interface AnsweredRequest extends TaskRequest {
  readonly scores: readonly ExampleScore[];
  readonly outputs?: readonly string[];
  /** What became of the programs, in their order. */
  readonly runs?: readonly ProgramRun[];
}

/** Figures of one example by itself, by name. */
export type Verdict = Readonly<Record<string, number>>;

export interface ScoredRequest extends AnsweredRequest {
  readonly verdict?: Verdict;
}

/** What tasks may use beside the examples that they are asked about. */
export interface TaskContext {
  /** Solved examples for prompts; never trained on or scored. */
  readonly shots: readonly Example[];
  /** Texts that have nothing to do with the task. */
  readonly general: readonly Example[];
}

export interface Execution<O> {
  language(options: O): Language;
  /** One for each output. */
  programs(request: AnsweredRequest, example: Example, options: O): Program[];
}

export interface EvaluationTask<O> {
  readonly id: string;
  readonly summary: string;
  readonly options: z.ZodType<O>;
  /** The first is the one that tables show. */
  readonly metrics: readonly [Metric, ...Metric[]];
  /** Its requests let the model write. Omitted: they score texts. */
  readonly writes?: true;
  /** Omitted: each example itself. */
  requests?(examples: readonly Example[], options: O, context: TaskContext): TaskRequest[];
  /** For tasks that run what was written. It is done only where the machine can lock it in, or its user allows it. */
  readonly execution?: Execution<O>;
  /** Done once for each request, before figures are made of many subsets of them. Pure. */
  judge?(request: AnsweredRequest, example: Example, options: O): Verdict;
  /** Scores also say what the params that a run starts from give (`referenceNll`); of a model alone: without adapters. */
  readonly comparesWithReference?: true;
  /** One number a metric, by id. Throws DATA_INVALID without requests. Pure: any subset gives its own figures. */
  summarise(scored: readonly ScoredRequest[], options: O): Record<string, number>;
  /** What guessing would get in the first metric, from the labels of the test examples. */
  chance?(examples: readonly Example[], options: O): number | undefined;
}

export function plainRequests(examples: readonly Example[]): TaskRequest[] {
  return examples.map((text, example) => ({ example, texts: [text], answer: 0 }));
}

/** The chosen and the rejected answer of each. Throws DATA_INVALID. */
export function pairRequests(examples: readonly Example[]): TaskRequest[] {
  return examples.map((pair, example) => ({ example, texts: pairOf(pair), answer: 0 }));
}

/** The score of the right text. */
export function answerScore({ scores, answer }: ScoredRequest): ExampleScore {
  return scores[answer]!;
}

/** Mean of a figure over verdicts. */
export function meanVerdict(scored: readonly ScoredRequest[], figure: string): number {
  return scored.reduce((sum, { verdict }) => sum + verdict![figure]!, 0) / scored.length;
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
