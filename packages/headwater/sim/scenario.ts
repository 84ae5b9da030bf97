/**
 * From a seed to everything that will happen by chance to a run: who takes part, how the run is set up, what breaks, how
 * often and until when. Plain data; drawing it touches nothing.
 */

import { type Rng, rng, sampled } from '../src/base/random.ts';
import { selections } from '../src/federation/selection/registry.ts';
import { maskedSometimes } from './masked-scenario.ts';
import { privateSometimes } from './private-scenario.ts';
import type { TinyRecipe } from './works.ts';

/** What an owner's client does wrong on purpose. */
export const MISBEHAVIOURS = ['nan', 'shape', 'garbage', 'norm', 'other-tensor', 'liar'] as const;
export type Misbehaviour = (typeof MISBEHAVIOURS)[number];

export interface OwnerScenario {
  readonly owner: string;
  readonly numExamples: number;
  readonly heldOut: { readonly validation: number; readonly test: number };
  readonly startsAtMs: number;
  readonly trainMs: number;
  readonly clockOffsetMs: number;
  /** Sends such updates now and then. */
  readonly misbehaves: Misbehaviour | null;
  /** Goes away then and never returns. */
  readonly leavesAtMs: number | null;
  /** Its folder is lost then; it joins with a new token. */
  readonly losesStateAtMs: number | null;
  /** The operator revokes its key then, and invites it again; its folder stays. */
  readonly revokedAtMs: number | null;
}

export interface CrashScenario {
  /** `c1` …, `database`, `bucket`, `helper`, or an owner. */
  readonly process: string;
  readonly downMs: number;
  /** `power`: what was not flushed is lost. `stop`: a coordinator is asked to end, and has a few seconds. */
  readonly how: 'kill' | 'power' | 'stop';
  readonly trigger:
    | { readonly atMs: number }
    /** At the n-th durable act of that process. */
    | { readonly act: number; readonly when: 'before' | 'after' };
}

export interface Rates {
  /** Of requests of clients. */
  readonly network: number;
  /** Of calls to a distant store. */
  readonly link: number;
  readonly diskError: number;
}

export interface Spell {
  readonly fromMs: number;
  readonly untilMs: number;
}

export interface OperatorAct {
  readonly atMs: number;
  readonly act: 'pause' | 'resume' | 'pardon' | 'stop' | 'drop-uploads';
}

export interface Scenario {
  readonly seed: number;
  readonly recipe: TinyRecipe;
  /** `embedded`: one coordinator with its own disk. `shared`: several over a database and a bucket. */
  readonly topology: 'embedded' | 'shared';
  readonly coordinators: number;
  readonly coordinatorClockMs: readonly number[];
  readonly owners: readonly OwnerScenario[];
  readonly rates: Rates;
  readonly crashes: readonly CrashScenario[];
  readonly partitions: readonly (Spell & { readonly owner: string; readonly place: string })[];
  /** A coordinator that stands still, and then goes on as if nothing had been. */
  readonly stalls: readonly (Spell & { readonly process: string })[];
  /** A coordinator that cannot reach the database. `held`: what it sends arrives when it can again. */
  readonly cutOff: readonly (Spell & { readonly process: string; readonly held: boolean })[];
  readonly slowDisk: readonly Spell[];
  readonly fullDisk: readonly Spell[];
  readonly operator: readonly OperatorAct[];
  /** Replays, forges and changes what it sees on the network. */
  readonly adversary: boolean;
  /** There is another run, and a client of it who tries its key here. */
  readonly intruder: boolean;
  readonly snapshotEvents: number;
  /** Then nothing fails any more. */
  readonly healsAtMs: number;
  /** The result must be that of the same run without faults. */
  readonly exact: boolean;
}

export function drawScenario(seed: number): Scenario {
  const random = rng(seed, 'scenario');
  const chance = (probability: number) => random.uniform() < probability;
  const healsAtMs = 10_000 + random.uniform() * 110_000;
  // Most of what happens to a run happens early.
  const within = () => healsAtMs * random.uniform() ** 3;
  const exact = chance(0.4);
  const topology = chance(0.5) ? 'embedded' : 'shared';
  const coordinators = topology === 'embedded' ? 1 : 1 + random.below(3);
  const owners = drawOwners(random, exact, healsAtMs);
  const recipe = drawRecipe(seed, random, exact, owners);
  const places = Array.from({ length: coordinators }, (_, i) => `c${i + 1}`);
  const servers = topology === 'embedded' ? places : [...places, 'database', 'bucket'];
  const names = owners.map(({ owner }) => owner);
  const scenario: Scenario = {
    seed,
    recipe,
    topology,
    coordinators,
    coordinatorClockMs: places.map(() => (chance(0.7) ? 0 : (random.uniform() - 0.5) * 20_000)),
    owners,
    rates: {
      network: chance(0.2) ? 0 : random.uniform() * 0.25,
      link: chance(0.3) ? 0 : random.uniform() * 0.08,
      diskError: chance(0.6) ? 0 : random.uniform() * 0.01,
    },
    crashes: [
      ...drawCrashes(random, servers, random.below(6), within),
      ...drawCrashes(random, names, random.below(6), within),
    ],
    partitions: Array.from({ length: random.below(3) }, () => ({
      ...spell(random, within, 40_000),
      owner: names[random.below(names.length)]!,
      place: places[random.below(places.length)]!,
    })),
    stalls: Array.from({ length: random.below(3) }, () => ({
      ...spell(random, within, 50_000),
      process: places[random.below(places.length)]!,
    })),
    cutOff: Array.from({ length: random.below(3) }, () => ({
      ...spell(random, within, 50_000),
      process: places[random.below(places.length)]!,
      held: chance(0.5),
    })),
    slowDisk: chance(0.8) ? [] : [spell(random, within, 20_000)],
    fullDisk: chance(0.85) ? [] : [spell(random, within, 15_000)],
    operator: drawOperator(random, exact, within),
    adversary: chance(0.5),
    intruder: chance(0.2),
    snapshotEvents: [2, 5, 20, 1000][random.below(4)]!,
    healsAtMs,
    exact,
  };
  return privateSometimes(maskedSometimes(scenario, isReliable), isReliable);
}

/** The same run in good weather: everybody there from the start, nothing breaks. */
export function withoutFaults(scenario: Scenario): Scenario {
  return {
    ...scenario,
    owners: scenario.owners.map((owner) => ({ ...owner, startsAtMs: 0, clockOffsetMs: 0 })),
    rates: { network: 0, link: 0, diskError: 0 },
    coordinatorClockMs: scenario.coordinatorClockMs.map(() => 0),
    crashes: [],
    partitions: [],
    stalls: [],
    cutOff: [],
    slowDisk: [],
    fullDisk: [],
    operator: [],
    adversary: false,
    intruder: false,
    healsAtMs: 0,
    exact: false,
  };
}

function drawOwners(random: Rng, exact: boolean, healsAtMs: number): OwnerScenario[] {
  const chance = (probability: number) => random.uniform() < probability;
  const count = 2 + random.below(5);
  return Array.from({ length: count }, (_, i) => {
    const spare = i >= 2 && !exact;
    return {
      owner: `site-${String.fromCharCode(97 + i)}`,
      numExamples: 1 + random.below(30),
      heldOut: { validation: random.below(3), test: random.below(3) },
      startsAtMs: random.uniform() * (spare && chance(0.4) ? healsAtMs : 3000),
      trainMs: 10 + random.uniform() * (chance(0.2) ? 20_000 : 1500),
      clockOffsetMs: chance(0.6) ? 0 : (random.uniform() - 0.5) * 2 * 86_400_000,
      misbehaves: spare && chance(0.3) ? MISBEHAVIOURS[random.below(MISBEHAVIOURS.length)]! : null,
      leavesAtMs: spare && chance(0.2) ? random.uniform() * healsAtMs : null,
      losesStateAtMs: !exact && chance(0.15) ? random.uniform() * healsAtMs : null,
      revokedAtMs: !exact && chance(0.1) ? random.uniform() * healsAtMs : null,
    };
  });
}

/** Owners on whom a run may rely: they come in the end, and mean well. */
function isReliable({ misbehaves, leavesAtMs }: OwnerScenario): boolean {
  return misbehaves === null && leavesAtMs === null;
}

function drawRecipe(seed: number, random: Rng, exact: boolean, owners: readonly OwnerScenario[]): TinyRecipe {
  const chance = (probability: number) => random.uniform() < probability;
  const reliable = owners.filter(isReliable).length;
  const buffered = !exact && chance(0.35);
  const cohortSize = exact ? null : 1 + random.below(reliable);
  const quorum = exact ? null : 1 + random.below(Math.min(cohortSize!, reliable));
  const deadlineMs = 5000 + random.uniform() * 40_000;
  const asked = cohortSize === null ? owners.length : cohortSize + random.below(3);
  const evaluated = chance(0.4);
  return {
    seed,
    rounds: 2 + random.below(4),
    localSteps: 1 + random.below(3),
    cohortSize,
    quorum,
    minOwners: exact ? owners.length : Math.max(cohortSize!, 1 + random.below(reliable)),
    // By the seed alone, so that everything else in a scenario stays what it was without it.
    selection: { kind: [...selections.keys()][seed % selections.size]! },
    cut: Math.floor(seed / selections.size) % 2 === 1,
    serverLearningRate: chance(0.7) ? 1 : 0.5,
    evaluated,
    pace: {
      mode: buffered ? 'buffered' : 'synchronous',
      asked,
      belowQuorum: 'extend',
      deadlineMs,
      evaluationDeadlineMs: 5000 + random.uniform() * 40_000,
      quarantineAfter: chance(0.5) ? 1 + random.below(3) : null,
      maxUpdateNorm: 1e3,
      maxStaleness: buffered ? random.below(4) : 0,
      stalenessExponent: buffered && chance(0.7) ? 0.5 : 0,
      evaluatedBy: evaluated ? 'owners' : 'shell',
    },
  };
}

function drawCrashes(
  random: Rng,
  processes: readonly string[],
  count: number,
  within: () => number,
): CrashScenario[] {
  return Array.from({ length: count }, () => ({
    process: processes[random.below(processes.length)]!,
    downMs: random.uniform() < 0.5 ? 50 + random.uniform() * 500 : random.uniform() * 20_000,
    how: (['kill', 'power', 'power', 'stop'] as const)[random.below(4)]!,
    trigger:
      random.uniform() < 0.3
        ? { atMs: within() }
        : { act: 1 + random.below(120), when: random.uniform() < 0.5 ? 'before' : 'after' },
  }));
}

function drawOperator(random: Rng, exact: boolean, within: () => number): OperatorAct[] {
  const acts: OperatorAct[] = [];
  if (random.uniform() < 0.25) {
    const atMs = within();
    acts.push({ atMs, act: 'pause' }, { atMs: atMs + random.uniform() * 10_000, act: 'resume' });
  }
  if (random.uniform() < 0.3) acts.push({ atMs: within(), act: 'pardon' });
  if (random.uniform() < 0.3) acts.push({ atMs: within(), act: 'drop-uploads' });
  if (!exact && random.uniform() < 0.08) acts.push({ atMs: within(), act: 'stop' });
  return sampled(acts, acts.length, random).sort((a, b) => a.atMs - b.atMs);
}

function spell(random: Rng, within: () => number, longestMs: number): Spell {
  const fromMs = within();
  return { fromMs, untilMs: fromMs + random.uniform() * longestMs };
}
