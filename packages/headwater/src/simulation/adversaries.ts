/**
 * The adversaries of a simulated run: who they are, and what they may see of a round before they send. It waits and looks; what
 * they make of it is computed elsewhere.
 */

import type { AttackPlan } from '../federation/attacks/attackers.ts';
import { paramsBefore } from '../federation/outstanding.ts';
import { awaits } from '../federation/rounds.ts';
import { entryOf, type RunState } from '../federation/state.ts';

export interface RoundSight {
  /** Digests of the honest owners’ accepted updates, in the order of their names. */
  readonly honest: readonly string[];
  /** Whose they are. */
  readonly honestOwners: readonly string[];
  /** Params one round before those of the round; null in the first. */
  readonly before: string | null;
  readonly params: string;
  readonly numUpdates: number;
  readonly numAdversaries: number;
}

export interface Adversaries {
  attacks(owner: string, round: number): boolean;
  /** `complete`: once every honest owner of the round has answered, or is lost. */
  sight(round: number, complete: boolean): Promise<RoundSight>;
  observe(state: RunState): void;
}

export function createAdversaries({ owners, from = 1 }: AttackPlan, start: RunState): Adversaries {
  const names = new Set(owners);
  let state = start;
  let waiting: { readonly ready: () => boolean; readonly go: () => void }[] = [];
  const isComplete = (round: number) =>
    state.open?.round === round &&
    state.open.cohort.every((owner) => names.has(owner) || !awaits(state.open!, owner));
  return {
    attacks: (owner, round) => round >= from && names.has(owner),
    async sight(round, complete) {
      const ready = () => (complete ? isComplete(round) : state.open?.round === round);
      if (!ready()) await new Promise<void>((go) => waiting.push({ ready, go }));
      return sightOf(state, names, complete);
    },
    observe(next) {
      state = next;
      const now = waiting.filter(({ ready }) => ready());
      waiting = waiting.filter((item) => !now.includes(item));
      for (const { go } of now) go();
    },
  };
}

function sightOf(state: RunState, names: ReadonlySet<string>, complete: boolean): RoundSight {
  const { cohort, accepted } = state.open!;
  const honest = cohort.filter((owner) => !names.has(owner)).sort();
  const seen = complete ? honest.filter((owner) => entryOf(accepted, owner) !== undefined) : [];
  return {
    honest: seen.map((owner) => accepted[owner]!.update),
    honestOwners: seen,
    before: paramsBefore(state) ?? null,
    params: state.params,
    numUpdates: cohort.length,
    numAdversaries: cohort.length - honest.length,
  };
}
