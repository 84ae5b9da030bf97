/**
 * Test helper: a deployment played by a list of numbers. Owners answer, fall silent, fail, send nonsense, leave and come
 * back; deadlines fire; the operator pauses, stops and cancels. It checks nothing; every move is an event, or nothing.
 */

import type { EvaluateWork, RunEvent, TrainWork, UpdateReceived } from '../../src/federation/events.ts';
import { type Step, start, step } from '../../src/federation/machine.ts';
import { evaluateWorkOf, outstandingWork } from '../../src/federation/outstanding.ts';
import type { Pace, PlanInput, RunPlan } from '../../src/federation/plan.ts';
import type { RunState } from '../../src/federation/state.ts';
import { taskOf } from '../../src/federation/tasks.ts';
import { fakePlan, fakeStats, perform } from './fake-world.ts';

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f', '7', '10'];

export function deploymentPlan(pace: Partial<Pace> = {}, change: Partial<PlanInput> = {}): RunPlan {
  const owners = NAMES.slice(0, 6).map((owner, i) => countsOf(owner, 10 + i));
  return fakePlan({
    owners,
    arms: [],
    cohortSize: 3,
    quorum: 2,
    ...change,
    pace: {
      asked: 4,
      belowQuorum: 'extend',
      deadlineMs: 1,
      evaluationDeadlineMs: 1,
      quarantineAfter: 2,
      maxStaleness: 2,
      stalenessExponent: 0.5,
      evaluatedBy: 'owners',
      ...pace,
    },
  });
}

export function countsOf(owner: string, numExamples: number) {
  const heldOut = { validation: numExamples % 3, test: numExamples % 2 };
  return { owner, numExamples, numTokens: 10 * numExamples, heldOut };
}

/** Which move, and two numbers that choose among its possibilities. */
export type Move = readonly [kind: number, which: number, more: number];

export interface World {
  state: RunState;
  readonly events: RunEvent[];
  /** Tasks that somebody fetched and has not answered. */
  readonly held: TrainWork[];
}

export function newWorld(plan: RunPlan): World {
  return { state: start(plan).state, events: [{ type: 'created', plan, provenance: null }], held: [] };
}

type Play = (world: World, which: number, more: number) => RunEvent | undefined;

const PLAYS: readonly (readonly [weight: number, play: Play])[] = [
  [12, (world, which) => answered(pick(trainingTasks(world.state), which), 'good')],
  [3, (world, which) => answered(pick(trainingTasks(world.state), which), 'bad')],
  [4, (world, which) => answered(pick(world.held, which), 'good')],
  [4, hold],
  [3, stray],
  [2, repeated],
  [1, ({ state }, which) => failure(pick(trainingTasks(state), which))],
  [
    3,
    ({ state: { open } }, which) =>
      open === undefined
        ? undefined
        : {
            type: 'deadline',
            round: open.round,
            extension: Math.max(0, open.extension - (which % 4 === 0 ? 1 : 0)),
          },
  ],
  [
    2,
    (_, which, more) => ({
      type: 'owner-joined',
      counts: countsOf(NAMES[which % NAMES.length]!, 5 + (more % 40)),
    }),
  ],
  [1, (_, which) => ({ type: 'owner-left', owner: NAMES[which % NAMES.length]!, reason: 'gone' })],
  [1, (_, which) => ({ type: 'owner-pardoned', owner: NAMES[which % NAMES.length]! })],
  [8, ({ state }, which) => ownWork(state, which)],
  [6, ({ state }, which) => scored(pick(scoringTasks(state), which), which)],
  [
    1,
    ({ state }, which) => {
      const work = pick(evaluateWorkOf(state), which);
      return work && { type: 'evaluation-deadline', evaluation: work.evaluation };
    },
  ],
  [1, () => ({ type: 'paused', reason: 'because' })],
  [2, () => ({ type: 'continued' })],
];

const RARE: readonly Play[] = [
  () => ({ type: 'stopping', reason: 'enough' }),
  () => ({ type: 'cancelled', reason: 'no' }),
  () => ({ type: 'published' }),
  () => ({ type: 'resumed' }),
];

const DECK = PLAYS.flatMap(([weight, play]) => Array.from({ length: weight }, () => play));

/** The event of a move; undefined when nothing fits. Every 40th number is a rare one. */
export function eventOf(world: World, [kind, which, more]: Move): RunEvent | undefined {
  if (kind % 40 === 39) return RARE[which % RARE.length]!(world, which, more);
  return DECK[kind % DECK.length]!(world, which, more);
}

export function apply(world: World, event: RunEvent): Step {
  const next = step(world.state, event);
  world.state = next.state;
  world.events.push(event);
  return next;
}

/** Whoever is asked answers, deadlines fire when nobody is left to wait for, until the run is over or `limit` is reached. */
export function heal(world: World, answers: (owner: string) => boolean, limit: number): number {
  let steps = 0;
  for (; steps < limit && world.state.status === 'running'; steps++) {
    const { state } = world;
    const training = trainingTasks(state).find(({ owner }) => answers(owner));
    const scoring = scoringTasks(state).find(({ owner }) => answers(owner));
    const event =
      (state.paused === null ? undefined : ({ type: 'continued' } as const)) ??
      ownWork(state, 0) ??
      answered(training, 'good') ??
      scored(scoring, 0) ??
      timeUp(state);
    if (event === undefined) break;
    apply(world, event);
  }
  return steps;
}

function timeUp(state: RunState): RunEvent | undefined {
  const { open } = state;
  if (open?.phase === 'training') return { type: 'deadline', round: open.round, extension: open.extension };
  const work = evaluateWorkOf(state)[0];
  return work && { type: 'evaluation-deadline', evaluation: work.evaluation };
}

function tasksOf(state: RunState) {
  return Object.keys(state.roster).flatMap((owner) => {
    const task = taskOf(state, owner);
    return task === undefined ? [] : [{ owner, task }];
  });
}

function trainingTasks(state: RunState): TrainWork[] {
  return tasksOf(state).flatMap(({ task }) => (task.kind === 'train' ? [task] : []));
}

function scoringTasks(state: RunState): { owner: string; work: EvaluateWork }[] {
  return tasksOf(state).flatMap(({ owner, task }) =>
    task.kind === 'evaluate' ? [{ owner, work: task }] : [],
  );
}

function answered(work: TrainWork | undefined, quality: 'good' | 'bad'): UpdateReceived | undefined {
  if (work === undefined) return undefined;
  return perform(work, quality === 'bad' ? { broken: [work.owner] } : {}) as UpdateReceived;
}

function hold(world: World, which: number): undefined {
  const work = pick(trainingTasks(world.state), which);
  if (work !== undefined) world.held.push(work);
}

/** From anybody, for any round, with a digest of its own. */
function stray({ state }: World, which: number, more: number): UpdateReceived {
  const round = (which % (state.plan.rounds + 3)) - 1;
  const owner = [...NAMES, 'constructor', '__proto__', 'eve'][more % (NAMES.length + 3)]!;
  return {
    type: 'update-received',
    round,
    owner,
    update: `stray-${which % 5}`,
    personal: null,
    upBytes: 1,
    downBytes: 1,
    check: more % 5 === 0 ? { ok: false, code: 'shape', reason: 'strange' } : { ok: true, l2Norm: 1 },
    stats: fakeStats,
  };
}

function repeated({ events }: World, which: number): RunEvent | undefined {
  return pick(events.slice(1), which);
}

function failure(work: TrainWork | undefined): RunEvent | undefined {
  return work && { type: 'client-failed', round: work.round, owner: work.owner, reason: 'out of memory' };
}

function ownWork(state: RunState, which: number): RunEvent | undefined {
  const own = outstandingWork(state).filter(({ kind }) => kind === 'aggregate' || kind === 'publish');
  const work = pick(own, which);
  return work && perform(work);
}

function scored(
  task: { readonly owner: string; readonly work: EvaluateWork } | undefined,
  which: number,
): RunEvent | undefined {
  if (task === undefined) return undefined;
  const { owner, work } = task;
  const scores = { loss: which % 7 === 0 ? null : 1 + (which % 10) / 4 };
  const result = { numExamples: 2 + (which % 3), numTargets: 5 + (which % 4), scores };
  return { type: 'owner-evaluated', evaluation: work.evaluation, owner, result };
}

function pick<T>(items: readonly T[], which: number): T | undefined {
  return items[which % Math.max(1, items.length)];
}
