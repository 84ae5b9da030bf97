/**
 * Which rounds may be released, by a gate on a validation metric and by a vote of the owners; what fails is withheld and the release
 * before it stays. A function of the state: the same journal gives the same verdicts.
 */

import type { EvaluationResult } from './events.ts';
import type { ReleaseGate, ReleaseVote } from './release-rule.ts';
import { reputations } from './reputation.ts';
import { type ClosedRound, entryOf, type RunState, validationId } from './state.ts';

export interface Verdict {
  readonly round: number;
  readonly released: boolean;
  readonly gate?: {
    readonly score: number | null;
    readonly reference: number | null;
    readonly holds: boolean;
  };
  readonly vote?: VoteCount;
}

export interface VoteCount {
  /** Weight of those for it, of all who may vote. */
  readonly share: number;
  readonly holds: boolean;
  readonly owners: Readonly<Record<string, { readonly vote: Vote; readonly weight: number }>>;
}

/** An owner is for a release whose loss on its own held-out examples is no larger than that of the release before. */
export type Vote = 'for' | 'against' | 'silent';

/** `validated`: closed rounds with their validation, in order. */
export function verdictsOf(state: RunState, validated: readonly ClosedRound[]): Verdict[] {
  const { release } = state.plan;
  const verdicts: Verdict[] = [];
  if (release === undefined) return verdicts;
  const scoresAfter = (round: number) => state.evaluations[validationId(round)];
  for (const { round } of validated) {
    const released = [0, ...verdicts.filter((verdict) => verdict.released).map((verdict) => verdict.round)];
    const gate = release.gate && gated(release.gate, scoresAfter(round), released.map(scoresAfter));
    const withheld = new Set(verdicts.filter((verdict) => !verdict.released).map((verdict) => verdict.round));
    const vote =
      release.vote &&
      counted(state, release.vote, scoresAfter(round), scoresAfter(released.at(-1)!), withheld);
    verdicts.push({
      round,
      released: gate?.holds !== false && vote?.holds !== false,
      ...(gate === undefined ? {} : { gate }),
      ...(vote === undefined ? {} : { vote }),
    });
  }
  return verdicts;
}

type Scored = EvaluationResult | undefined;

/** A score that is missing or no number fails. */
function gated(
  { metric, higherIsBetter, maxDrop, bound }: ReleaseGate,
  candidate: Scored,
  released: readonly Scored[],
): NonNullable<Verdict['gate']> {
  const sign = higherIsBetter ? 1 : -1;
  const scoreOf = (scored: Scored) => scored?.pooled[metric] ?? null;
  const before = released.flatMap((scored) => scoreOf(scored) ?? []);
  const reference = before.length === 0 ? null : sign * Math.max(...before.map((score) => sign * score));
  const score = scoreOf(candidate);
  const keeps = (limit: number | null, drop: number) =>
    score !== null && (limit === null || sign * (limit - score) <= drop);
  const holds = keeps(reference, maxDrop) && keeps(bound ?? null, 0);
  return { score, reference, holds };
}

/** Who was asked about the release before may vote; who does not answer counts among all and is not for it. */
function counted(
  state: RunState,
  { weights, threshold }: ReleaseVote,
  candidate: Scored,
  before: Scored,
  withheld: ReadonlySet<number>,
): VoteCount {
  const known = weights === 'reputation' ? reputations(state, withheld) : undefined;
  const weightOf = (owner: string) => {
    if (weights === 'equal') return 1;
    if (known !== undefined) return entryOf(known, owner)?.reputation ?? 0;
    return entryOf(state.roster, owner)?.numExamples ?? 0;
  };
  const owners: Record<string, { vote: Vote; weight: number }> = {};
  for (const owner of Object.keys(before?.owners ?? {}).sort())
    owners[owner] = { vote: voteOf(owner, candidate, before), weight: weightOf(owner) };
  const all = Object.values(owners);
  const sum = (of: readonly { weight: number }[]) => of.reduce((total, { weight }) => total + weight, 0);
  const total = sum(all);
  const share = total === 0 ? 0 : sum(all.filter(({ vote }) => vote === 'for')) / total;
  return { share, holds: share >= threshold, owners };
}

function voteOf(owner: string, candidate: Scored, before: Scored): Vote {
  const lossOf = (scored: Scored) => entryOf(scored?.owners ?? {}, owner)?.scores.loss ?? undefined;
  const [now, then] = [lossOf(candidate), lossOf(before)];
  if (now === undefined || then === undefined) return 'silent';
  return now <= then ? 'for' : 'against';
}
