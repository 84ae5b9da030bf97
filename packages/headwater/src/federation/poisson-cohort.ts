/**
 * Cohorts that are drawn by secret coin flips: each active owner on its own with the same probability, so that a cohort may be empty
 * and nobody fills a place. Pure; whose coins they are is the shell's affair, which answers with a `cohort-drawn` event.
 */

import type { DrawWork } from './events.ts';
import type { RunPlan } from './plan.ts';
import { activeOwners } from './roster.ts';
import type { OpenRound, RunState } from './state.ts';

export function drawWorkOf(state: RunState): DrawWork[] {
  const { open, plan } = state;
  const { poisson } = plan.privacy ?? {};
  if (poisson === undefined || open?.undrawn !== true || open.phase !== 'training') return [];
  const { round } = open;
  return [{ kind: 'draw', id: `draw/${round}`, round, owners: activeOwners(state), rate: poisson.rate }];
}

/** With the coins' answer in it; owners who left meanwhile are not asked. */
export function withDrawn(state: RunState, open: OpenRound, owners: readonly string[]): RunState {
  const active = new Set(activeOwners(state));
  const { undrawn: _, ...rest } = open;
  return { ...state, open: { ...rest, cohort: owners.filter((owner) => active.has(owner)).sort() } };
}

/**
 * Whether who was drawn is a secret, which what a run tells has to keep: figures with amplification hold against those only who do not
 * know it. In a simulation it follows from the seed.
 */
export function hidesCohorts({ privacy, pace }: Pick<RunPlan, 'privacy' | 'pace'>): boolean {
  return privacy?.poisson !== undefined && pace.evaluatedBy === 'owners';
}
