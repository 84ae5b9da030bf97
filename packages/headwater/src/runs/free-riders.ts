/**
 * The journal → what the watch for free-riders saw: by round, by owner, and in simulations how right it was. Pure. It names
 * suspects; what follows from that is for people to decide.
 */

import type { RunEvent } from '../federation/events.ts';
import { type Claim, signsOfClaims } from '../federation/free-riders/claims.ts';
import { type OwnerSigns, type Sign, SUSPICIOUS } from '../federation/free-riders/report.ts';
import { type RunPlan, stepsOf } from '../federation/plan.ts';
import { trainingMs } from './training-ms.ts';

export interface RunFreeRiders {
  readonly owners: readonly WatchedOwner[];
  readonly rounds: readonly {
    readonly round: number;
    readonly suspects: readonly string[];
    /** Whom plain WEF alone would name. */
    readonly wef: readonly string[];
  }[];
  /** Of simulations, where it is known who was one. */
  readonly detection?: Detection;
}

export interface WatchedOwner {
  readonly owner: string;
  /** Rounds in which it was looked at. */
  readonly rounds: number;
  readonly suspicious: number;
  /** How often each sign was seen. */
  readonly signs: Readonly<Partial<Record<Sign, number>>>;
  /** Suspicious in three of five successive rounds of its own, or in most where there are fewer. */
  readonly suspected: boolean;
  /** Its first suspicious round. */
  readonly since: number | null;
}

export interface Detection {
  /** Over pairs of an owner and a round: the verdict of all exact checks and S2-WEF. */
  readonly watch: Accuracy;
  /** Of S2-WEF alone. */
  readonly s2Wef: Accuracy;
  /** Of plain WEF alone. */
  readonly wef: Accuracy;
  /** Over owners: `suspected` against who was a free-rider in any round. */
  readonly owners: Accuracy;
}

/** Null where it has no meaning: precision of no alarm, recall where nobody was one. */
export interface Accuracy {
  readonly precision: number | null;
  readonly recall: number | null;
  readonly f1: number | null;
  /** Honest ones flagged, over honest ones. */
  readonly falseAlarms: number | null;
}

interface Look extends OwnerSigns {
  readonly owner: string;
  readonly round: number;
}

const WINDOW = 5;

type WatchedPlan = Pick<
  RunPlan,
  'freeRiders' | 'attack' | 'pace' | 'owners' | 'initialParams' | 'localSteps' | 'localEpochs'
>;

/** Undefined for runs without a watch. */
export function runFreeRiders(plan: WatchedPlan, events: readonly RunEvent[]): RunFreeRiders | undefined {
  const { freeRiders, attack, pace } = plan;
  if (freeRiders === undefined) return undefined;
  const claimed = signsByRound(plan, events);
  const seen = events.flatMap((event): Look[] => {
    if (event.type !== 'aggregated' || event.watch === undefined) return [];
    const { round, watch } = event;
    return Object.entries(watch.owners).map(([owner, signs]) => ({ owner, round, ...signs }));
  });
  const looks = seen.map((look) => ({ ...look, signs: [...look.signs, ...claimed(look.round, look.owner)] }));
  const names = [...new Set(looks.map(({ owner }) => owner))].sort();
  const owners = names.map((owner) => watchedOwner(owner, looks));
  const numbers = [...new Set(looks.map(({ round }) => round))].sort((a, b) => a - b);
  const inRound = (round: number, test: (look: Look) => boolean) =>
    looks.filter((look) => look.round === round && test(look)).map(({ owner }) => owner);
  const rounds = numbers.map((round) => ({
    round,
    suspects: inRound(round, isSuspicious),
    wef: inRound(round, has('wef')),
  }));
  // In a deployment nobody knows; what other adversaries send is neither.
  const isKnown = pace.evaluatedBy === 'shell' && (attack === undefined || attack.kind === 'free-rider');
  const riders = { owners: attack?.owners ?? [], from: attack?.from ?? 1 };
  return { owners, rounds, ...(isKnown ? { detection: detectionOf(looks, owners, riders) } : {}) };
}

/** Of what owners said with their updates. */
function signsByRound(
  plan: WatchedPlan,
  events: readonly RunEvent[],
): (round: number, owner: string) => readonly Sign[] {
  const params = new Map([[1, plan.initialParams]]);
  for (const event of events) if (event.type === 'aggregated') params.set(event.round + 1, event.params);
  const claims = events.flatMap((event) => claimOf(plan, params, event) ?? []);
  const rounds = new Map<number, ReturnType<typeof signsOfClaims>>();
  for (const round of new Set(claims.map((claim) => claim.round)))
    rounds.set(
      round,
      signsOfClaims(
        claims.filter((claim) => claim.round === round),
        claims.filter((claim) => claim.round < round),
      ),
    );
  return (round, owner) => rounds.get(round)?.get(owner) ?? [];
}

function claimOf(plan: WatchedPlan, params: ReadonlyMap<number, string>, event: RunEvent): Claim | undefined {
  if (event.type !== 'update-received' || !event.check.ok) return undefined;
  const { round, owner, stats } = event;
  const counts = plan.owners.find((one) => one.owner === owner) ?? { numExamples: stats.numExamples };
  const tookMs = trainingMs(event, plan.pace.evaluatedBy === 'shell');
  return { round, owner, params: params.get(round) ?? '', stats, steps: stepsOf(plan, counts), tookMs };
}

function watchedOwner(owner: string, looks: readonly Look[]): WatchedOwner {
  const own = looks.filter((look) => look.owner === owner).sort((a, b) => a.round - b.round);
  const marks = own.map(isSuspicious);
  const signs: Partial<Record<Sign, number>> = {};
  for (const sign of own.flatMap((look) => look.signs)) signs[sign] = (signs[sign] ?? 0) + 1;
  return {
    owner,
    rounds: own.length,
    suspicious: marks.filter(Boolean).length,
    signs,
    suspected: marks.some((_, i) => mostly(marks.slice(i, i + WINDOW), marks.length)),
    since: own.find(isSuspicious)?.round ?? null,
  };
}

function mostly(window: readonly boolean[], total: number): boolean {
  return window.length === Math.min(WINDOW, total) && window.filter(Boolean).length > window.length / 2;
}

function isSuspicious({ signs }: OwnerSigns): boolean {
  return signs.some((sign) => SUSPICIOUS.includes(sign));
}

function has(sign: Sign): (look: OwnerSigns) => boolean {
  return ({ signs }) => signs.includes(sign);
}

function detectionOf(
  looks: readonly Look[],
  owners: readonly WatchedOwner[],
  { owners: riders, from }: { readonly owners: readonly string[]; readonly from: number },
): Detection {
  const truth = ({ owner, round }: Look) => round >= from && riders.includes(owner);
  const last = Math.max(0, ...looks.map(({ round }) => round));
  const everWas = ({ owner }: WatchedOwner) => riders.includes(owner) && last >= from;
  // Copies are put aside before anything is compared.
  const compared = looks.filter(({ deviation }) => deviation !== null);
  return {
    watch: accuracyOf(looks, truth, isSuspicious),
    s2Wef: accuracyOf(compared, truth, has('s2-wef')),
    wef: accuracyOf(compared, truth, has('wef')),
    owners: accuracyOf(owners, everWas, ({ suspected }) => suspected),
  };
}

export function accuracyOf<T>(
  items: readonly T[],
  truth: (item: T) => boolean,
  said: (item: T) => boolean,
): Accuracy {
  const count = (test: (item: T) => boolean) => items.filter(test).length;
  const [right, positives, alarms] = [count((x) => truth(x) && said(x)), count(truth), count(said)];
  const share = (part: number, whole: number) => (whole === 0 ? null : part / whole);
  return {
    precision: share(right, alarms),
    recall: share(right, positives),
    f1: share(2 * right, positives + alarms),
    falseAlarms: share(alarms - right, items.length - positives),
  };
}
