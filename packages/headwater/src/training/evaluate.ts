/**
 * Evaluation: several tasks over one list of examples. Every distinct text is tokenized and scored once, whatever the
 * number of tasks that want it. Tokenizing and scoring are given, so that this runs beside any engine or pool of them.
 */

import { HeadwaterError } from '../base/errors.ts';
import { didYouMean } from '../base/suggest.ts';
import type { Example, TokenizedExample } from '../data/types.ts';
import type { ExampleScore } from './engine.ts';
import { type EvaluationTask, plainRequests, type ScoredRequest, type TaskRequest } from './tasks/task.ts';

export interface BoundTask {
  readonly task: EvaluationTask<unknown>;
  readonly options: unknown;
}

export interface EvaluateTools {
  /** `source[i]`: position of the text that `tokenized[i]` came from; a text may give several pieces or none. */
  tokenize(texts: readonly Example[]): {
    readonly tokenized: readonly TokenizedExample[];
    readonly source: readonly number[];
  };
  score(examples: readonly TokenizedExample[]): Promise<readonly ExampleScore[]>;
}

export interface TaskResult {
  readonly task: string;
  /** By metric id. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly numExamples: number;
  /** Examples without a figure: one of their texts had no target left. */
  readonly numSkipped: number;
  /** Supervised tokens of the right texts. */
  readonly numTargets: number;
  /** What guessing would get in the first metric, where that has a meaning. */
  readonly chance: number | undefined;
}

export interface TaskEvaluation extends BoundTask {
  readonly examples: readonly Example[];
  readonly scored: readonly ScoredRequest[];
  readonly result: TaskResult;
}

/** Recipe entries `{ kind, …options }` as tasks. Throws OPTION_INVALID. */
export function bindTasks(
  records: readonly { readonly kind: string }[],
  registry: ReadonlyMap<string, EvaluationTask<unknown>>,
): BoundTask[] {
  return records.map(({ kind, ...options }) => {
    const task = registry.get(kind);
    if (task === undefined)
      throw new HeadwaterError('OPTION_INVALID', `unknown evaluation task "${kind}"`, {
        hint: didYouMean(kind, [...registry.keys()]),
      });
    const parsed = task.options.safeParse(options);
    if (!parsed.success)
      throw new HeadwaterError('OPTION_INVALID', `task ${kind}: ${parsed.error.issues[0]?.message}`);
    return { task, options: parsed.data };
  });
}

/** Throws DATA_INVALID when a task is left without examples. */
export async function evaluateTasks(
  examples: readonly Example[],
  tasks: readonly BoundTask[],
  tools: EvaluateTools,
): Promise<TaskEvaluation[]> {
  const planned = tasks.map((bound) => ({
    ...bound,
    requests: bound.task.requests?.(examples, bound.options) ?? plainRequests(examples),
  }));
  const scores = await scoredTexts(
    planned.flatMap(({ requests }) => requests),
    tools,
  );
  return planned.map(({ task, options, requests }) => {
    const scored = requests.flatMap((request) => withScores(request, scores));
    return { task, options, examples, scored, result: resultOf({ task, options }, examples, scored) };
  });
}

/** The figures of one task on the examples that `keep` takes (by position): an owner's own test set, a class. */
export function resultOn(evaluation: TaskEvaluation, keep: (example: number) => boolean): TaskResult {
  const kept = evaluation.scored.filter(({ example }) => keep(example));
  return resultOf(
    evaluation,
    evaluation.examples.filter((_, i) => keep(i)),
    kept,
  );
}

function resultOf(
  { task, options }: BoundTask,
  examples: readonly Example[],
  scored: readonly ScoredRequest[],
): TaskResult {
  return {
    task: task.id,
    metrics: task.summarise(scored, options),
    numExamples: scored.length,
    numSkipped: examples.length - scored.length,
    numTargets: scored.reduce((sum, { scores, answer }) => sum + scores[answer]!.numTargets, 0),
    chance: task.chance?.(examples, options),
  };
}

async function scoredTexts(
  requests: readonly TaskRequest[],
  { tokenize, score }: EvaluateTools,
): Promise<Map<Example, ExampleScore>> {
  const texts = [...new Set(requests.flatMap((request) => request.texts))];
  const { tokenized, source } = tokenize(texts);
  const scores = await score(tokenized);
  const result = new Map<Example, ExampleScore>();
  for (const [i, piece] of scores.entries()) {
    const text = texts[source[i]!]!;
    const sum = result.get(text);
    result.set(text, sum === undefined ? piece : added(sum, piece));
  }
  return result;
}

function added(a: ExampleScore, b: ExampleScore): ExampleScore {
  return {
    nll: a.nll + b.nll,
    numTargets: a.numTargets + b.numTargets,
    numCorrect: a.numCorrect + b.numCorrect,
  };
}

/** None when a text of the request got no score. */
function withScores(request: TaskRequest, scores: ReadonlyMap<Example, ExampleScore>): ScoredRequest[] {
  const own = request.texts.map((text) => scores.get(text));
  return own.includes(undefined) ? [] : [{ ...request, scores: own as ExampleScore[] }];
}
