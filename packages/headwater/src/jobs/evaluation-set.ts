/**
 * One set of held-out examples made ready for all evaluation tasks of a recipe: every text that any task asks for is
 * tokenized once and scored once for each set of params, every prompt is tokenized. What comes of the answers is in
 * `evaluation-figures.ts`.
 */

import type { BootstrapOptions } from '../base/bootstrap.ts';
import { HeadwaterError } from '../base/errors.ts';
import { rng } from '../base/random.ts';
import { type TextCodec, tokenizeExamples } from '../data/tokenize.ts';
import type { Example, TokenizedExample } from '../data/types.ts';
import type { PreparedPrompt } from '../training/generation/write-texts.ts';
import { perplexity } from '../training/tasks/perplexity.ts';
import {
  type EvaluationTask,
  plainRequests,
  type TaskContext,
  type TaskRequest,
} from '../training/tasks/task.ts';
import { type PromptLimits, preparePrompts } from './evaluation-prompts.ts';
import type { ReadyTask, TaskChoice } from './task-choice.ts';

export interface EvaluationSet {
  /** With their owner in `meta`. */
  readonly examples: readonly Example[];
  readonly tasks: readonly ReadyTask[];
  /** Position of each text that some task asks for. */
  readonly textIds: ReadonlyMap<Example, number>;
  readonly pieces: readonly TokenizedExample[];
  /** For each piece the text it is a part of, and the owner of that text's example (undefined: nobody's). */
  readonly pieceText: readonly number[];
  readonly pieceOwner: readonly (string | undefined)[];
  /** Some task compares scores with those of the params that a run starts from. */
  readonly compared: boolean;
  /** One for each text to write, and the owner of its example. */
  readonly prompts: readonly PreparedPrompt[];
  readonly promptOwner: readonly (string | undefined)[];
  /** Where the outputs of a request begin. */
  readonly firstOutput: ReadonlyMap<TaskRequest, number>;
  /** Examples without a single target after cutting to maxLength; they are not evaluated. */
  readonly leftOut: number;
  /** Prompts that lost tokens from their left: scored ones to maxLength, written ones to the model's positions. */
  readonly textsCut: number;
  /** How confidence intervals are drawn. */
  readonly bootstrap: () => BootstrapOptions;
}

export interface EvaluationSettings {
  readonly codec: TextCodec;
  readonly maxLength: number;
  readonly context?: TaskContext;
  readonly seed?: number;
  /** Resamples of the bootstrap; 0 or nothing: no intervals. */
  readonly resamples?: number;
  readonly confidence?: number;
  /** What prompts must fit into; nothing: tasks that let the model write are left out. */
  readonly writing?: PromptLimits;
}

const NO_CONTEXT: TaskContext = { shots: [], general: [] };

/** Loss is part of every evaluation, whatever tasks the recipe names. Throws DATA_INVALID, RECIPE_INVALID. */
export function prepareEvaluation(
  candidates: readonly Example[],
  tasks: readonly TaskChoice[],
  settings: EvaluationSettings,
): EvaluationSet {
  const { codec, maxLength, context = NO_CONTEXT, seed = 0, resamples = 0, confidence = 0.95 } = settings;
  const usable = new Set(tokenizeExamples(candidates, codec, { maxLength }).source);
  const examples = candidates.filter((_, index) => usable.has(index));
  const all = withLoss(tasks);
  checkMetricNames(all);
  const ready = all
    .map(({ task, options }) => {
      const requests = task.requests?.(examples, options, context) ?? plainRequests(examples);
      return { task, options, requests };
    })
    .filter(({ requests }) => settings.writing !== undefined || !requests.some(({ writing }) => writing));
  const { ids, owners } = textsOf(ready, examples);
  const { tokenized, source, report } = tokenizeExamples([...ids.keys()], codec, { maxLength });
  const written = preparePrompts(ready, examples, { codec, seed, limits: settings.writing });
  return {
    examples,
    tasks: ready,
    textIds: ids,
    pieces: tokenized,
    pieceText: source,
    pieceOwner: source.map((text) => owners[text]),
    compared: ready.some(({ task }) => task.comparesWithReference === true),
    ...written,
    leftOut: candidates.length - examples.length,
    textsCut: report.promptsTruncated + report.completionsTruncated + written.textsCut,
    bootstrap: () => ({ resamples, level: confidence, random: rng(seed, 'bootstrap') }),
  };
}

function textsOf(tasks: readonly ReadyTask[], examples: readonly Example[]) {
  const ids = new Map<Example, number>();
  const owners: (string | undefined)[] = [];
  for (const { requests } of tasks)
    for (const { example, texts } of requests)
      for (const text of texts)
        if (!ids.has(text)) {
          ids.set(text, ids.size);
          owners.push(examples[example]?.meta.owner);
        }
  return { ids, owners };
}

/** What guessing gets in the first metric of each task, by metric; from all test rows, a sample may miss a class. */
export function chanceLevels(tasks: readonly TaskChoice[], test: readonly Example[]): Record<string, number> {
  const entries = tasks.flatMap(({ task, options }) => {
    const chance = task.chance?.(test, options);
    return chance === undefined ? [] : [[task.metrics[0].id, chance] as const];
  });
  return Object.fromEntries(entries);
}

const LOSS: TaskChoice = { task: perplexity as EvaluationTask<unknown>, options: {} };

function withLoss(tasks: readonly TaskChoice[]): TaskChoice[] {
  const hasLoss = tasks.some(({ task }) => task.metrics.some(({ id }) => id === 'loss'));
  return hasLoss ? [...tasks] : [LOSS, ...tasks];
}

function checkMetricNames(tasks: readonly TaskChoice[]): void {
  const owners = new Map<string, string>();
  for (const { task } of tasks)
    for (const { id } of task.metrics) {
      const other = owners.get(id);
      if (other !== undefined)
        throw new HeadwaterError(
          'RECIPE_INVALID',
          `evaluation.tasks: "${other}" and "${task.id}" both report the metric "${id}"`,
          { hint: 'Keep one of them.' },
        );
      owners.set(id, task.id);
    }
}
