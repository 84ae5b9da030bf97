/**
 * The journal → `results.json`: what the run came to, in figures. Everything but `timing` and `environment` is the same
 * for two runs of one recipe. Pure; pictures and words are made elsewhere.
 */

import { ATTACKED, type AttackPlan, attackStatement } from '../federation/attacks/attackers.ts';
import type { EvaluationResult, Observed, RunEvent } from '../federation/events.ts';
import { replay } from '../federation/machine.ts';
import type { RunPlan } from '../federation/plan.ts';
import { hidesCohorts } from '../federation/poisson-cohort.ts';
import { entryOf, type RunState, testId } from '../federation/state.ts';
import { chosenRound } from '../federation/stopping.ts';
import type { TrainingStats } from '../federation/training-stats.ts';
import type { DataFacts } from '../jobs/tokenize-parts.ts';
import type { Recipe } from '../recipe/schema.ts';
import { CENTRALISED, LOCAL_ONLY } from './baselines.ts';
import type { Environment } from './environment.ts';
import { type RunExamplePrivacy, runExamplePrivacy } from './example-privacy.ts';
import { type RunFreeRiders, runFreeRiders } from './free-riders.ts';
import { type RunPrivacy, runPrivacy } from './privacy.ts';
import type { Provenance } from './provenance.ts';
import { type RunReleases, releasesIn } from './releases.ts';
import { type RunSecureAggregation, secureAggregationOf } from './secure-aggregation.ts';

/** What one way of training saw, and how it did on the test sample. */
export interface ArmResult {
  /** Sequential optimizer steps on the way to these params: for the federation localSteps a round. */
  readonly sequentialSteps: number;
  /** Of all clients together. */
  readonly totalSteps: number;
  readonly examplesSeen: number;
  readonly tokensSeen: number;
  readonly test: EvaluationResult | null;
  readonly failure: string | null;
}

export interface RunResults {
  readonly format: 1;
  readonly name: string;
  readonly status: RunState['status'];
  readonly failure: string | null;
  readonly seed: number;
  readonly owners: readonly {
    readonly owner: string;
    readonly numExamples: number;
    readonly numTokens: number;
    readonly aggregationWeight: number;
  }[];
  readonly rounds: { readonly planned: number; readonly run: number; readonly chosen: number | null };
  /** Digest of the resulting params. */
  readonly params: string | null;
  readonly base: ArmResult;
  readonly federated: ArmResult;
  readonly centralised: ArmResult | null;
  /** By owner; empty when not asked for. */
  readonly localOnly: Readonly<Record<string, ArmResult>>;
  readonly bytes: { readonly up: number; readonly down: number };
  readonly fixedPoint: {
    readonly fractionBits: number;
    readonly range: number;
    readonly clamped: number;
    readonly quantisationErrorBound: number;
    readonly weightRoundingError: number;
  };
  /** Of simulations with adversaries. */
  readonly attack?: RunAttack;
  /** Of runs with client-level privacy. */
  readonly privacy?: RunPrivacy;
  /** Of runs whose owners protect each of their examples. */
  readonly examplePrivacy?: RunExamplePrivacy;
  /** Of runs whose updates were masked. */
  readonly secureAggregation?: RunSecureAggregation;
  /** Of runs that watch for free-riders. */
  readonly freeRiders?: RunFreeRiders;
  /** Of runs with a gate or a vote. */
  readonly release?: RunReleases;
  readonly lostUpdates: readonly {
    readonly round: number;
    readonly owner: string;
    readonly reason: string;
  }[];
  readonly facts: DataFacts;
  readonly recipe: Recipe;
  readonly environment: Environment;
  readonly timing: Timing;
}

/** What a run says of the privacy of its clients or of their examples (at most one), and of its masks. */
export function privaciesOf({
  privacy,
  examplePrivacy,
  secureAggregation,
}: Pick<RunResults, 'privacy' | 'examplePrivacy' | 'secureAggregation'>): readonly Pick<
  RunPrivacy,
  'stamp' | 'statement'
>[] {
  return [privacy, examplePrivacy, secureAggregation].filter((said) => said !== undefined);
}

function maskedIn(plan: RunPlan, events: readonly RunEvent[]): Pick<RunResults, 'secureAggregation'> {
  const secureAggregation = secureAggregationOf(plan, events);
  return secureAggregation === undefined ? {} : { secureAggregation };
}

/** Who attacked, and the sentence that goes with every figure. */
export interface RunAttack extends AttackPlan {
  readonly stamp: typeof ATTACKED;
  readonly statement: string;
}

/** Measured, not reproducible. Seconds of work may exceed the wall clock: workers run in parallel. */
export interface Timing {
  /** From start to end, without the time between an interruption and the restart. */
  readonly wallSeconds: number;
  readonly workSeconds: Readonly<
    Record<'federated' | 'aggregation' | 'evaluation' | 'baselines' | 'export', number>
  >;
  readonly restarts: number;
  /** Of the process with all its workers. */
  readonly peakRssBytes: number;
}

export function resultsOf(events: readonly RunEvent[]): RunResults {
  const state = replay(events);
  const { plan } = state;
  const { facts, recipe, environment } = (events[0] as { provenance: Provenance }).provenance;
  const updates = hidesCohorts(plan) ? [] : events.filter((event) => event.type === 'update-received');
  const rounds = events.filter((event) => event.type === 'aggregated');
  const total = (of: (update: (typeof updates)[number]) => number) =>
    updates.reduce((sum, item) => sum + of(item), 0);
  const chosen = chosenRound(state);
  const scale = plan.fixedPoint.tensors[0];
  return {
    format: 1,
    name: recipe.name,
    status: state.status,
    failure: state.failure,
    seed: plan.seed,
    owners: plan.owners,
    rounds: { planned: plan.rounds, run: state.closed.length, chosen: chosen?.round ?? null },
    params: chosen?.params ?? null,
    base: armResult(state, 'base', NOTHING, 0),
    federated: armResult(
      state,
      'federated',
      summed(updates.map(({ stats }) => stats)),
      state.closed.length * plan.localSteps,
    ),
    centralised: plan.arms.some(({ id }) => id === CENTRALISED) ? baseline(events, state, CENTRALISED) : null,
    localOnly: Object.fromEntries(
      plan.arms
        .filter(({ id }) => id.startsWith(LOCAL_ONLY))
        .map(({ id }) => [id.slice(LOCAL_ONLY.length), baseline(events, state, id)]),
    ),
    bytes: { up: total(({ upBytes }) => upBytes), down: total(({ downBytes }) => downBytes) },
    fixedPoint: {
      fractionBits: scale?.fractionBits ?? 0,
      range: scale?.range ?? 0,
      clamped: rounds.reduce((sum, { report }) => sum + report.clamped, 0),
      quantisationErrorBound: Math.max(0, ...rounds.map(({ report }) => report.quantisationErrorBound)),
      weightRoundingError: plan.weightRoundingError,
    },
    ...(plan.attack === undefined ? {} : { attack: runAttack(plan.attack, plan.owners.length) }),
    ...(plan.privacy === undefined ? {} : { privacy: runPrivacy(state, plan.privacy, events) }),
    ...(plan.examplePrivacy === undefined
      ? {}
      : { examplePrivacy: runExamplePrivacy(state, plan.examplePrivacy) }),
    ...maskedIn(plan, events),
    ...freeRidersIn(plan, events),
    ...releasesIn(state),
    lostUpdates: events
      .flatMap(lostUpdates)
      .sort((a, b) => a.round - b.round || (a.owner < b.owner ? -1 : 1)),
    facts,
    recipe,
    environment,
    timing: timingOf(events),
  };
}

function runAttack(attack: AttackPlan, numOwners: number): RunAttack {
  return { ...attack, stamp: ATTACKED, statement: attackStatement(attack, numOwners) };
}

const NOTHING: TrainingStats = {
  steps: 0,
  numExamples: 0,
  numTokens: 0,
  numTargets: 0,
  meanLoss: null,
  lastLoss: null,
};

function armResult(
  state: RunState,
  subject: string,
  stats: TrainingStats,
  sequentialSteps: number,
): ArmResult {
  return {
    sequentialSteps,
    totalSteps: stats.steps,
    examplesSeen: stats.numExamples,
    tokensSeen: stats.numTokens,
    test: entryOf(state.evaluations, testId(subject)) ?? null,
    failure: null,
  };
}

function baseline(events: readonly RunEvent[], state: RunState, id: string): ArmResult {
  const trained = events.find((event) => event.type === 'arm-trained' && event.arm === id);
  const failed = events.find((event) => event.type === 'arm-failed' && event.arm === id);
  const stats = trained?.type === 'arm-trained' ? trained.stats : NOTHING;
  const failure = failed?.type === 'arm-failed' ? failed.reason : null;
  return { ...armResult(state, id, stats, stats.steps), failure };
}

function summed(list: readonly TrainingStats[]): TrainingStats {
  const total = (key: 'steps' | 'numExamples' | 'numTokens' | 'numTargets') =>
    list.reduce((sum, s) => sum + s[key], 0);
  return {
    ...NOTHING,
    steps: total('steps'),
    numExamples: total('numExamples'),
    numTokens: total('numTokens'),
    numTargets: total('numTargets'),
  };
}

function freeRidersIn(plan: RunState['plan'], events: readonly RunEvent[]): Pick<RunResults, 'freeRiders'> {
  const freeRiders = runFreeRiders(plan, events);
  return freeRiders === undefined ? {} : { freeRiders };
}

function lostUpdates(event: RunEvent): { round: number; owner: string; reason: string }[] {
  if (event.type === 'aggregated')
    return (event.excluded ?? []).map(({ owner, reason }) => ({ round: event.round, owner, reason }));
  if (event.type === 'client-failed')
    return [{ round: event.round, owner: event.owner, reason: event.reason }];
  if (event.type !== 'update-received' || event.check.ok) return [];
  return [{ round: event.round, owner: event.owner, reason: event.check.reason }];
}

const PHASES = {
  'update-received': 'federated',
  'client-failed': 'federated',
  aggregated: 'aggregation',
  'arm-trained': 'baselines',
  'arm-failed': 'baselines',
  evaluated: 'evaluation',
  'owner-evaluated': 'evaluation',
  published: 'export',
} as const;

function isWork(type: RunEvent['type']): type is keyof typeof PHASES {
  return Object.hasOwn(PHASES, type);
}

interface Times {
  readonly endedMs: number;
  readonly tookMs: number;
  readonly peakRssBytes?: number;
}

function timingOf(events: readonly RunEvent[]): Timing {
  const workSeconds = { federated: 0, aggregation: 0, evaluation: 0, baselines: 0, export: 0 };
  let wallMs = 0;
  let lastMs: number | undefined;
  let peakRssBytes = 0;
  for (const event of events) {
    const times = (event as Observed).observed as Times | undefined;
    if (times === undefined) continue;
    if (isWork(event.type)) {
      workSeconds[PHASES[event.type]] += times.tookMs / 1000;
      wallMs += times.endedMs - (lastMs ?? times.endedMs);
    }
    lastMs = times.endedMs;
    peakRssBytes = Math.max(peakRssBytes, times.peakRssBytes ?? 0);
  }
  return {
    wallSeconds: wallMs / 1000,
    workSeconds,
    restarts: events.filter(({ type }) => type === 'resumed').length,
    peakRssBytes,
  };
}
