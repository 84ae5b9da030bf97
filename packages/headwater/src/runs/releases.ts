/** What a run with a gate or a vote says about its releases: a verdict for each validated round, and a sentence. */

import type { Verdict } from '../federation/releases.ts';
import type { RunState } from '../federation/state.ts';
import { chosenRound, releaseVerdicts } from '../federation/stopping.ts';

export interface RunReleases {
  readonly verdicts: readonly Verdict[];
  readonly statement: string;
}

/** Nothing for runs without a rule, and while validations are outstanding. */
export function releasesIn(state: RunState): { readonly release?: RunReleases } {
  if (state.plan.release === undefined) return {};
  const verdicts = releaseVerdicts(state);
  if (verdicts === undefined) return {};
  const withheld = verdicts.filter(({ released }) => !released).map(({ round }) => round);
  const chosen = chosenRound(state)?.round;
  const kept = chosen === 0 ? 'what the run began from' : `round ${chosen ?? '…'}`;
  const statement =
    withheld.length === 0
      ? `All ${verdicts.length} validated rounds passed the gate and the vote.`
      : `WITHHELD: ${withheld.length} of ${verdicts.length} validated rounds (${listed(withheld)}) failed the gate or the vote and are not released; the result is ${kept}.`;
  return { release: { verdicts, statement } };
}

function listed(rounds: readonly number[]): string {
  return rounds.length > 12 ? `${rounds.slice(0, 12).join(', ')} …` : rounds.join(', ');
}
