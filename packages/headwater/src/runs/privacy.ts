/**
 * What a run with clipping and noise says about itself, in figures and in sentences that results, report and adapter carry: (ε, δ) and
 * what it means, or SIMULATED where the noise follows from a seed, which protects nobody.
 */

import { significant } from '../base/format.ts';
import { median } from '../base/median.ts';
import { type ClientPrivacy, type ReleaseReport, simulatedStatement } from '../federation/client-privacy.ts';
import type { RunEvent, UpdateReceived } from '../federation/events.ts';
import type { RunPlan } from '../federation/plan.ts';
import { countedReleases, guaranteeFor, mostParticipations } from '../federation/privacy-ledger.ts';
import type { RunState } from '../federation/state.ts';
import type { PrivacyGuarantee } from '../privacy/accounting/account.ts';
import { guaranteeStatement } from '../privacy/accounting/statement.ts';
import { examplePrivacyStatement, wouldCost } from './example-privacy.ts';
import { secureAggregationOf } from './secure-aggregation.ts';

/** A round's release. Norms before clipping are known in simulations only. */
export interface RoundPrivacy extends ReleaseReport {
  readonly stamp: Stamp;
  /** Share of the counted updates that were longer than C. */
  readonly clippedShare: number | null;
  /** Median of ‖update‖₂ before clipping. */
  readonly medianNorm: number | null;
  /** ‖noise‖₂ / ‖sum of the clipped updates‖₂ */
  readonly noiseToSignal: number | null;
}

/** Null: the noise came from a key that was destroyed. */
type Stamp = 'SIMULATED' | null;

export function roundPrivacy(release: ReleaseReport, counted: readonly UpdateReceived[]): RoundPrivacy {
  const norms = counted.flatMap(({ unclippedNorm }) => unclippedNorm ?? []);
  const longer = norms.filter((norm) => norm > release.clipNorm).length;
  const { signalNorm = 0, noiseNorm = 0 } = release.observed ?? {};
  return {
    ...release,
    stamp: stampOf(release),
    clippedShare: norms.length === 0 ? null : longer / norms.length,
    medianNorm: norms.length === 0 ? null : median(norms),
    noiseToSignal: signalNorm > 0 ? noiseNorm / signalNorm : null,
  };
}

function stampOf({ noise }: Pick<ReleaseReport, 'noise'>): Stamp {
  return noise === 'simulated' ? 'SIMULATED' : null;
}

export interface RunPrivacy extends ClientPrivacy {
  readonly stamp: Stamp;
  readonly statement: string;
  /** Releases so far, and the most that one owner took part in (with a tree: trees; with secret coins: might have). */
  readonly rounds: number;
  readonly participations: number;
  /** Of that owner, and so of every one; null where nothing is claimed. */
  readonly guarantee: PrivacyGuarantee | null;
  /** Means over rounds. */
  readonly clippedShare: number | null;
  readonly medianNorm: number | null;
  readonly noiseToSignal: number | null;
}

/** `state`: after the events. */
export function runPrivacy(state: RunState, privacy: ClientPrivacy, events: readonly RunEvent[]): RunPrivacy {
  const updates = events.filter((event) => event.type === 'update-received');
  const rounds = events.flatMap((event) => {
    if (event.type !== 'aggregated' || event.report.release === undefined) return [];
    const counted = updates.filter(({ round, check }) => round === event.round && check.ok);
    return [roundPrivacy(event.report.release, counted)];
  });
  const mean = (of: (round: RoundPrivacy) => number | null) => {
    const values = rounds.map(of).filter((value) => value !== null);
    return values.length === 0 ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  };
  const stamp = rounds.length > 0 && rounds.every((round) => round.stamp === null) ? null : 'SIMULATED';
  const guarantee = stamp === null ? spentGuarantee(state, privacy) : null;
  return {
    ...privacy,
    ...{ stamp, guarantee },
    statement: privacyStatement(state, privacy, stamp, guarantee),
    rounds: rounds.length,
    participations: countedReleases(state),
    clippedShare: mean(({ clippedShare }) => clippedShare),
    medianNorm: mean(({ medianNorm }) => medianNorm),
    noiseToSignal: mean(({ noiseToSignal }) => noiseToSignal),
  };
}

/** After the releases so far; null where the plan claims nothing. */
export function spentGuarantee(state: RunState, privacy: ClientPrivacy): PrivacyGuarantee | null {
  const { delta } = privacy;
  return delta === undefined ? null : guaranteeFor(privacy, delta, countedReleases(state));
}

/** What the guarantee is about and what it leaves out, in words for people. */
function privacyStatement(
  state: RunState,
  privacy: ClientPrivacy,
  stamp: Stamp,
  guarantee: PrivacyGuarantee | null,
): string {
  if (stamp !== null || guarantee === null)
    return (
      simulatedStatement(privacy, state.plan.cohortSize) +
      wouldCost(spentGuarantee(state, privacy) ?? undefined)
    );
  return secretStatement(guarantee, state);
}

export function secretStatement(
  guarantee: PrivacyGuarantee,
  state: Pick<RunState, 'plan' | 'roster' | 'closed'>,
): string {
  const { privacy, quorum } = state.plan;
  const times = mostParticipations(state);
  const what = guaranteeStatement(guarantee, 'client');
  if (privacy?.poisson !== undefined) return `${what} ${drawnStatement(privacy, state.closed.length)}`;
  return `${what} ${against(privacy, times, quorum)} That an owner took part, and how many examples it said it had, is not hidden.`;
}

/** What amplification holds against, and what is left without it. */
function drawnStatement(privacy: ClientPrivacy, times: number): string {
  const { poisson, delta, noiseMultiplier } = privacy;
  const known = delta === undefined ? undefined : guaranteeFor({ noiseMultiplier }, delta, times).epsilon;
  return (
    `It is about all ${times} releases, for each of which an owner was drawn with probability ${significant(poisson!.rate)}, against whoever ` +
    `sees the released params and not who was drawn. Whoever learns that (the transparency log shows owners how many answered) is held ` +
    `to (ε, δ) = (${known === undefined ? '–' : significant(known)}, ${delta}), whether an owner contributed or sent nothing in at most ${counted(times, 'release')}; ` +
    `the coordinator itself saw each clipped update. How many examples an owner said it had is not hidden.`
  );
}

function against(privacy: ClientPrivacy | undefined, times: number, quorum: number): string {
  if (privacy?.tree === undefined) return AGAINST[privacy?.trust ?? 'central'](times, quorum);
  const { leaves } = privacy.tree;
  return (
    `It is about at most ${counted(times, 'update')} of an owner, one in each tree of noise over ${leaves} releases (DP-FTRL), against whoever sees ` +
    `the released params; the coordinator itself saw each clipped update.`
  );
}

function counted(times: number, what: string): string {
  return `${times} ${what}${times === 1 ? '' : 's'}`;
}

/** Whom a guarantee is against, by who added the noise. */
const AGAINST: Readonly<
  Record<'central' | 'local' | 'distributed', (times: number, quorum: number) => string>
> = {
  central: (times) =>
    `It is about the updates of an owner in at most ${counted(times, 'release')}, against whoever sees the released params; the coordinator itself ` +
    `saw each clipped update.`,
  local: (times) =>
    `It is about at most ${counted(times, 'update')} of an owner, against everybody else, the coordinator included: owners add the noise before ` +
    `anything leaves them.`,
  distributed: (times, quorum) =>
    `It is about the updates of an owner in at most ${counted(times, 'sum')}, against whoever sees the sums, the coordinator included, as long as ` +
    `the masks hold and ${quorum} owners in each sum add their part of the noise.`,
};

/** Of a simulation, before it is over: as if every owner took part as often as it may. */
export function plannedStatement({
  privacy,
  cohortSize,
}: Pick<RunPlan, 'privacy' | 'cohortSize'>): string | undefined {
  if (privacy === undefined) return undefined;
  const { delta, maxParticipations } = privacy;
  const most = delta === undefined ? undefined : guaranteeFor(privacy, delta, maxParticipations);
  return simulatedStatement(privacy, cohortSize) + wouldCost(most);
}

/** README.md of a result whose privacy has something to say. */
export function cardText(name: string, statement: string): string {
  return `# ${name}\n\n${statement}\n`;
}

/** After the releases of a deployment; undefined where it has no privacy. */
export function privacyCard(name: string, state: RunState): string | undefined {
  const said = [noiseStatement(state), secureAggregationOf(state.plan)?.statement].filter(
    (statement) => statement !== undefined,
  );
  return said.length === 0 ? undefined : cardText(name, said.join('\n\n'));
}

function noiseStatement(state: RunState): string | undefined {
  const { privacy, examplePrivacy } = state.plan;
  if (examplePrivacy !== undefined) return examplePrivacyStatement(state, examplePrivacy);
  const guarantee = privacy && spentGuarantee(state, privacy);
  if (guarantee === undefined || guarantee === null) return undefined;
  return secretStatement(guarantee, state);
}
