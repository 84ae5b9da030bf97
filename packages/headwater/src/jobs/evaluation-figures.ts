/**
 * What a model answered to an evaluation set → figures: pooled with confidence intervals, by owner, and by group. Pure: the
 * same answers give the same figures.
 */

import { bootstrapIntervals, type Interval } from '../base/bootstrap.ts';
import type { EvaluationResult, Scores } from '../federation/events.ts';
import type { ExampleScore } from '../training/engine.ts';
import type { Program, ProgramRun } from '../training/tasks/program.ts';
import type { AnsweredRequest, ScoredRequest, TaskRequest } from '../training/tasks/task.ts';
import type { EvaluationSet } from './evaluation-set.ts';
import type { ReadyTask } from './task-choice.ts';

export interface SetAnswers {
  /** One for each piece. */
  readonly scores: readonly ExampleScore[];
  /** One for each prompt. */
  readonly outputs: readonly string[];
  /** Of the programs of a request. */
  readonly runs: ReadonlyMap<TaskRequest, readonly ProgramRun[]>;
}

/** A task with what came of each of its requests. */
export interface JudgedTask extends ReadyTask {
  readonly judged: readonly ScoredRequest[];
}

export function summarise(set: EvaluationSet, answers: SetAnswers): EvaluationResult {
  const tasks = judgedTasks(set, answers);
  const owners = [...new Set(set.examples.flatMap(({ meta }) => meta.owner ?? []))].sort();
  const groups = groupsIn(set, tasks);
  return {
    numExamples: set.examples.length,
    pooled: figures(tasks),
    ...(set.bootstrap().resamples === 0 ? {} : { intervals: intervalsOf(set, tasks) }),
    owners: Object.fromEntries(
      owners.map((owner) => {
        const isOwn = ({ example }: TaskRequest) => set.examples[example]?.meta.owner === owner;
        const numExamples = set.examples.filter(({ meta }) => meta.owner === owner).length;
        return [owner, { numExamples, scores: figures(tasks, isOwn) }];
      }),
    ),
    ...(groups.size === 0 ? {} : { groups: groupFigures(set, tasks, groups) }),
  };
}

/** Every request with its scores, outputs, programs' runs and verdict. */
export function judgedTasks(set: EvaluationSet, { scores, outputs, runs }: SetAnswers): JudgedTask[] {
  const answered = answeredTasks(set, scores, outputs);
  return set.tasks.map((ready, i) => {
    const judged = answered[i]!.map((request, k) => {
      const ran = runs.get(ready.requests[k]!);
      const whole = ran === undefined ? request : { ...request, runs: ran };
      const verdict = ready.task.judge?.(whole, set.examples[request.example]!, ready.options);
      return verdict === undefined ? whole : { ...whole, verdict };
    });
    return { ...ready, judged };
  });
}

/** The programs that tasks made of what was written, by request. */
export function programsOf(
  set: EvaluationSet,
  outputs: readonly string[],
): ReadonlyMap<TaskRequest, readonly Program[]> {
  const result = new Map<TaskRequest, readonly Program[]>();
  for (const { task, options, requests } of set.tasks)
    if (task.execution !== undefined)
      for (const request of requests) {
        const answered = { ...request, scores: [], ...written(set, request, outputs) };
        result.set(request, task.execution.programs(answered, set.examples[request.example]!, options));
      }
  return result;
}

function answeredTasks(
  set: EvaluationSet,
  pieceScores: readonly ExampleScore[],
  outputs: readonly string[],
): AnsweredRequest[][] {
  const texts: ExampleScore[] = Array.from({ length: set.textIds.size }, () => NO_SCORE);
  for (const [i, score] of pieceScores.entries()) {
    const text = set.pieceText[i]!;
    texts[text] = sumOfScores(texts[text]!, score);
  }
  return set.tasks.map(({ requests }) =>
    requests.map((request) => ({
      ...request,
      scores: request.texts.map((text) => texts[set.textIds.get(text)!]!),
      ...written(set, request, outputs),
    })),
  );
}

function written(set: EvaluationSet, request: TaskRequest, outputs: readonly string[]) {
  const first = set.firstOutput.get(request);
  return first === undefined ? {} : { outputs: outputs.slice(first, first + request.writing!.samples) };
}

const NO_SCORE: ExampleScore = { nll: 0, numTargets: 0, numCorrect: 0 };

/** Of the pieces of one text. A text with a class is one piece. */
function sumOfScores(a: ExampleScore, b: ExampleScore): ExampleScore {
  return {
    ...b,
    nll: a.nll + b.nll,
    numTargets: a.numTargets + b.numTargets,
    numCorrect: a.numCorrect + b.numCorrect,
    ...(b.referenceNll === undefined ? {} : { referenceNll: (a.referenceNll ?? 0) + b.referenceNll }),
  };
}

function figures(tasks: readonly JudgedTask[], keep: (request: TaskRequest) => boolean = () => true): Scores {
  const scores: Record<string, number | null> = {};
  for (const { task, options, judged } of tasks) {
    const kept = judged.filter(keep);
    // Some tasks have nothing to say of an owner or a group: general text is nobody's.
    if (kept.length === 0 && judged.length > 0) continue;
    for (const [metric, value] of Object.entries(task.summarise(kept, options)))
      scores[metric] = Number.isFinite(value) ? value : null;
  }
  return scores;
}

/** Rows are drawn again for each task by itself: tasks may have different numbers of requests. */
function intervalsOf(set: EvaluationSet, tasks: readonly JudgedTask[]): Record<string, Interval> {
  const all = tasks.map(({ task, options, judged }) => {
    const { random, ...rest } = set.bootstrap();
    return bootstrapIntervals(
      judged.length,
      (positions) =>
        task.summarise(
          Array.from(positions, (position) => judged[position]!),
          options,
        ),
      { ...rest, random: random.split(task.id) },
    );
  });
  return Object.assign({}, ...all);
}

function groupNames(set: EvaluationSet, { groups, example }: TaskRequest): readonly string[] {
  const own = set.examples[example]?.meta.group;
  return groups ?? (own === undefined ? [] : [own]);
}

function groupsIn(set: EvaluationSet, tasks: readonly JudgedTask[]): ReadonlySet<string> {
  return new Set(
    tasks.flatMap(({ requests }) => requests.flatMap((request) => groupNames(set, request))).sort(),
  );
}

function groupFigures(
  set: EvaluationSet,
  tasks: readonly JudgedTask[],
  groups: ReadonlySet<string>,
): NonNullable<EvaluationResult['groups']> {
  const entries = [...groups].map((group) => {
    const isIn = (request: TaskRequest) => groupNames(set, request).includes(group);
    const members = tasks.map(({ requests }) => requests.filter(isIn).length);
    return [group, { numExamples: Math.max(...members), scores: figures(tasks, isIn) }];
  });
  return Object.fromEntries(entries);
}
