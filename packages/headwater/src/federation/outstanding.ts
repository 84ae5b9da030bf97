/**
 * The work a state still needs, and the blobs it still refers to: pure functions of the state, so that a restart asks for
 * exactly what is missing. Every piece of work has an id and can be done twice without harm.
 */

import { digestJson } from '../base/canonical.ts';
import type { AggregateWork, EvaluateWork, Member, RunEvent, TrainWork, Work } from './events.ts';
import { attemptOf, maskingOf } from './masking/masking-of.ts';
import { stepsOf } from './plan.ts';
import { drawWorkOf } from './poisson-cohort.ts';
import { activeOwners } from './roster.ts';
import { awaits, isAsked } from './rounds.ts';
import {
  type ClosedRound,
  entryOf,
  type OpenRound,
  personalAfterLast,
  type RunState,
  testId,
  validationId,
} from './state.ts';
import { chosenRound, isValidated, tellsFigures } from './stopping.ts';
import { treeReleaseOf } from './tree-rounds.ts';

/** In canonical order. Nothing for a run that has finished or failed. */
export function outstandingWork(state: RunState): Work[] {
  if (state.status !== 'running') return [];
  const { open } = state;
  const training = awaited(state).map((owner) => trainWork(state, open!.round, owner));
  return [...training, ...otherWork(state)];
}

/** What `after` needs and `before` did not. Whoever was asked before is not looked at again: cohorts may be large. */
export function addedWork(before: RunState, after: RunState): Work[] {
  if (after.status !== 'running') return [];
  const known = new Set(before.status === 'running' ? otherWork(before).map(({ id }) => id) : []);
  return [
    ...newlyAwaited(before, after).map((owner) => trainWork(after, after.open!.round, owner)),
    ...otherWork(after).filter(({ id }) => !known.has(id)),
  ];
}

/** Owners whose updates the open round waits for. */
function awaited({ open }: RunState): readonly string[] {
  return open?.phase === 'training' ? open.cohort.filter((owner) => awaits(open, owner)) : [];
}

function newlyAwaited({ open: before }: RunState, after: RunState): readonly string[] {
  const { open } = after;
  if (open === undefined || before?.round !== open.round) return awaited(after);
  if (open.phase !== 'training') return [];
  if (before.lost === open.lost) {
    // Nobody is asked again, so only those who were not in the cohort can be new.
    if (before.cohort === open.cohort) return [];
    return open.cohort.filter((owner) => !isAsked(before, owner) && awaits(open, owner));
  }
  const waited = (owner: string) => isAsked(before, owner) && awaits(before, owner);
  return awaited(after).filter((owner) => !waited(owner));
}

/** Everything but the training of a round's clients. */
function otherWork(state: RunState): Work[] {
  const { open } = state;
  const round = open?.phase === 'aggregating' ? [aggregateWork(state, open)] : [];
  const work = [...drawWorkOf(state), ...round, ...evaluateWorkOf(state), ...armWork(state)];
  if (work.length > 0 || open !== undefined) return work;
  const chosen = chosenRound(state);
  if (chosen === undefined) return [];
  return [{ kind: 'publish', id: 'publish', round: chosen.round, params: chosen.params }];
}

/** Of a state, which never changes: every request of an owner asks for it. */
const evaluationsOutstanding = new WeakMap<RunState, readonly EvaluateWork[]>();

/** Held-out scores that are not known yet. */
export function evaluateWorkOf(state: RunState): readonly EvaluateWork[] {
  if (state.status !== 'running') return [];
  const known = evaluationsOutstanding.get(state);
  if (known !== undefined) return known;
  const work = [...validationWork(state), ...testWork(state)];
  evaluationsOutstanding.set(state, work);
  return work;
}

export function trainWork(state: RunState, round: number, owner: string): TrainWork {
  const { rounds } = state.plan;
  const steps = stepsOf(state.plan, state.roster[owner]!);
  return {
    kind: 'train',
    id: `train/${round}/${owner}`,
    round,
    owner,
    params: state.params,
    personal: entryOf(personalAfterLast(state), owner) ?? null,
    steps,
    stepOffset: (round - 1) * steps,
    totalSteps: rounds * steps,
    ...clipOf(state),
    ...maskingIn(state, owner),
  };
}

function aggregateWork(state: RunState, open: OpenRound): AggregateWork {
  const members = open.members!;
  return {
    kind: 'aggregate',
    id: `aggregate/${open.round}`,
    round: open.round,
    params: state.params,
    serverState: state.serverState,
    members,
    membership: digestJson(members),
    participation: participationOf(state, members),
    ...attemptIn(state, open),
    ...clipOf(state),
    ...treeOf(state),
    ...(open.excluded === undefined ? {} : { excluded: open.excluded }),
    ...watchOf(state),
    ...(tellsFigures(state.plan, open.round) ? { figures: true } : {}),
  };
}

function watchOf(state: RunState): Pick<AggregateWork, 'watch'> {
  const { freeRiders } = state.plan;
  if (freeRiders === undefined) return {};
  const memory = state.watchMemory ?? null;
  return { watch: { memory, before: paramsBefore(state) ?? null, layers: freeRiders.layers } };
}

/** Global params one round before those of now; undefined before the first round closed. */
export function paramsBefore({ plan, closed }: Pick<RunState, 'plan' | 'closed'>): string | undefined {
  return closed.length === 0 ? undefined : (closed.at(-2)?.params ?? plan.initialParams);
}

function attemptIn({ plan }: RunState, open: OpenRound): Pick<AggregateWork, 'attempt'> {
  return plan.secureAggregation === undefined ? {} : { attempt: attemptOf(open) };
}

function maskingIn({ plan, open, roster }: RunState, owner: string): Pick<TrainWork, 'masking'> {
  if (plan.secureAggregation === undefined || open === undefined) return {};
  return { masking: maskingOf(plan, open, roster[owner]!) };
}

function treeOf(state: RunState): Pick<AggregateWork, 'tree'> {
  const tree = treeReleaseOf(state);
  return tree === undefined ? {} : { tree };
}

function clipOf({ clipNorm }: RunState): Pick<TrainWork, 'clipNorm'> {
  return clipNorm === undefined ? {} : { clipNorm };
}

/** Who has left since counts no more among all, so that the members may be more than these. */
function participationOf(state: RunState, members: readonly Member[]): number {
  const { poisson } = state.plan.privacy ?? {};
  // How many were drawn is no figure to go by: it has no noise.
  if (poisson !== undefined) return poisson.rate;
  const all = activeOwners(state).reduce((sum, owner) => sum + state.roster[owner]!.aggregationWeight, 0);
  const here = members.reduce(
    (sum, { aggregationWeight, freshWeight = aggregationWeight }) => sum + freshWeight,
    0,
  );
  return Math.min(1, here / all);
}

function validationWork(state: RunState): EvaluateWork[] {
  const begin: ClosedRound = { round: 0, params: state.plan.initialParams, personal: {}, members: {} };
  const points = [begin, ...state.closed];
  return points
    .filter(
      ({ round }) => isValidated(state.plan, round) && state.evaluations[validationId(round)] === undefined,
    )
    .map(({ round, params, personal }) => evaluateWork(validationId(round), 'validation', params, personal));
}

function armWork(state: RunState): Work[] {
  return state.plan.arms
    .filter(({ id }) => entryOf(state.arms, id) === undefined)
    .map(({ id, owners, steps }) => ({
      kind: 'train-arm',
      id: `arm/${id}`,
      arm: id,
      owners,
      params: state.plan.initialParams,
      steps,
    }));
}

function testWork(state: RunState): EvaluateWork[] {
  if (!state.plan.test) return [];
  const chosen = chosenRound(state);
  const subjects: [string, string | undefined][] = [
    ['base', state.plan.initialParams],
    ['federated', chosen?.params],
  ];
  for (const { id } of state.plan.arms) {
    const outcome = entryOf(state.arms, id);
    if (outcome !== undefined && 'params' in outcome) subjects.push([id, outcome.params]);
  }
  return subjects.flatMap(([subject, params]) => {
    if (params === undefined || state.evaluations[testId(subject)] !== undefined) return [];
    const personal = subject === 'federated' ? chosen!.personal : {};
    return [evaluateWork(testId(subject), 'test', params, personal)];
  });
}

function evaluateWork(
  evaluation: string,
  split: 'validation' | 'test',
  params: string,
  personal: Readonly<Record<string, string>>,
): EvaluateWork {
  return { kind: 'evaluate', id: `evaluate/${evaluation}`, evaluation, split, params, personal };
}

/** Blobs that the run still needs: for outstanding work, as its result, or as a baseline's result. */
export function liveBlobs(state: RunState): Set<string> {
  const live = new Set([state.plan.initialParams, state.params, ...remembered(state)]);
  if (state.serverState !== null) live.add(state.serverState);
  for (const { update, personal } of Object.values(state.open?.accepted ?? {})) {
    live.add(update);
    if (personal !== null) live.add(personal);
  }
  for (const outcome of Object.values(state.arms)) if ('params' in outcome) live.add(outcome.params);
  for (const closed of neededRounds(state)) {
    live.add(closed.params);
    for (const personal of Object.values(closed.personal)) live.add(personal);
  }
  return live;
}

/** Blobs that an aggregation made. */
export function aggregationDigests({
  params,
  serverState,
  watch,
}: Pick<Extract<RunEvent, { type: 'aggregated' }>, 'params' | 'serverState' | 'watch'>): string[] {
  return [
    params,
    ...(serverState === null ? [] : [serverState]),
    ...(watch === undefined ? [] : [watch.memory]),
  ];
}

/** What is kept for looking back: by a watch or an attack for a round, by runs that keep their updates for good. */
function remembered(state: RunState): string[] {
  const { plan, watchMemory, closed } = state;
  const memory = watchMemory === undefined ? [] : [watchMemory];
  if (plan.keepUpdates !== undefined)
    return [
      ...memory,
      ...closed.flatMap(({ params, members, personal, serverState }) => [
        params,
        ...Object.values(members),
        ...Object.values(personal),
        ...(serverState == null ? [] : [serverState]),
      ]),
    ];
  const looksBack = plan.freeRiders !== undefined || plan.attack?.recalls === true;
  return looksBack && state.status === 'running' ? [...memory, paramsBefore(state) ?? []].flat() : memory;
}

/** The last round, the chosen one (any, until the choice is made), and those that wait for validation. */
function neededRounds(state: RunState): ClosedRound[] {
  const chosen = chosenRound(state);
  return state.closed.filter((closed, index) => {
    if (index === state.closed.length - 1 || closed === chosen) return true;
    if (chosen === undefined && (state.plan.keepBest || state.plan.release !== undefined)) return true;
    return (
      isValidated(state.plan, closed.round) && state.evaluations[validationId(closed.round)] === undefined
    );
  });
}
