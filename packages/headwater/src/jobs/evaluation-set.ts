/**
 * One set of held-out examples made ready for all evaluation tasks of a recipe: every text that any task asks for is
 * tokenized once, scored once for each set of params, and the figures are computed from the scores, pooled and by owner.
 */

import { HeadwaterError } from '../base/errors.ts';
import { type TextCodec, tokenizeExamples } from '../data/tokenize.ts';
import type { Example, TokenizedExample } from '../data/types.ts';
import type { EvaluationResult, Scores } from '../federation/events.ts';
import type { ExampleScore } from '../training/engine.ts';
import { perplexity } from '../training/tasks/perplexity.ts';
import { type EvaluationTask, plainRequests, type TaskRequest } from '../training/tasks/task.ts';

export interface TaskChoice {
  readonly task: EvaluationTask<unknown>;
  readonly options: unknown;
}

interface ReadyTask extends TaskChoice {
  readonly requests: readonly TaskRequest[];
}

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
  /** Examples without a single target after cutting to maxLength; they are not evaluated. */
  readonly leftOut: number;
}

/** Loss is part of every evaluation, whatever tasks the recipe names. Throws DATA_INVALID, RECIPE_INVALID. */
export function prepareEvaluation(
  candidates: readonly Example[],
  tasks: readonly TaskChoice[],
  codec: TextCodec,
  maxLength: number,
): EvaluationSet {
  const usable = new Set(tokenizeExamples(candidates, codec, { maxLength }).source);
  const examples = candidates.filter((_, index) => usable.has(index));
  const all = withLoss(tasks);
  checkMetricNames(all);
  const ready = all.map(({ task, options }) => {
    const requests = task.requests?.(examples, options) ?? plainRequests(examples);
    return { task, options, requests };
  });
  const textIds = new Map<Example, number>();
  const owners: (string | undefined)[] = [];
  for (const { requests } of ready)
    for (const { example, texts } of requests)
      for (const text of texts)
        if (!textIds.has(text)) {
          textIds.set(text, textIds.size);
          owners.push(examples[example]!.meta.owner);
        }
  const { tokenized, source } = tokenizeExamples([...textIds.keys()], codec, { maxLength });
  return {
    examples,
    tasks: ready,
    textIds,
    pieces: tokenized,
    pieceText: source,
    pieceOwner: source.map((text) => owners[text]),
    leftOut: candidates.length - examples.length,
  };
}

/** What guessing gets in the first metric of each task, by metric; from all test rows, a sample may miss a class. */
export function chanceLevels(tasks: readonly TaskChoice[], test: readonly Example[]): Record<string, number> {
  const entries = tasks.flatMap(({ task, options }) => {
    const chance = task.chance?.(test, options);
    return chance === undefined ? [] : [[task.metrics[0].id, chance] as const];
  });
  return Object.fromEntries(entries);
}

/** Scores of the pieces → figures. */
export function summarise(set: EvaluationSet, pieceScores: readonly ExampleScore[]): EvaluationResult {
  const texts: ExampleScore[] = Array.from({ length: set.textIds.size }, () => NO_SCORE);
  for (const [i, score] of pieceScores.entries()) {
    const text = set.pieceText[i]!;
    texts[text] = sumOfScores(texts[text]!, score);
  }
  const owners = [...new Set(set.examples.flatMap(({ meta }) => meta.owner ?? []))].sort();
  const figures = (owner?: string) => scoresOf(set, texts, owner);
  return {
    numExamples: set.examples.length,
    pooled: figures(),
    owners: Object.fromEntries(
      owners.map((owner) => {
        const numExamples = set.examples.filter(({ meta }) => meta.owner === owner).length;
        return [owner, { numExamples, scores: figures(owner) }];
      }),
    ),
  };
}

const NO_SCORE: ExampleScore = { nll: 0, numTargets: 0, numCorrect: 0 };

/** Of the pieces of one text. A text with a class is one piece. */
function sumOfScores(a: ExampleScore, b: ExampleScore): ExampleScore {
  return {
    ...b,
    nll: a.nll + b.nll,
    numTargets: a.numTargets + b.numTargets,
    numCorrect: a.numCorrect + b.numCorrect,
  };
}

function scoresOf(set: EvaluationSet, texts: readonly ExampleScore[], owner: string | undefined): Scores {
  const scores: Record<string, number | null> = {};
  for (const { task, options, requests } of set.tasks) {
    const wanted = requests.filter(
      ({ example }) => owner === undefined || set.examples[example]!.meta.owner === owner,
    );
    const scored = wanted.map((request) => ({
      ...request,
      scores: request.texts.map((text) => texts[set.textIds.get(text)!]!),
    }));
    for (const [metric, value] of Object.entries(task.summarise(scored, options)))
      scores[metric] = Number.isFinite(value) ? value : null;
  }
  return scores;
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
