/** How an owner masks in a round: a function of the plan and the open round. */

import type { RunPlan } from '../plan.ts';
import type { OpenRound, RosterEntry } from '../state.ts';
import type { Masking } from './secure-aggregation.ts';

export function maskingOf(
  { fixedPoint }: Pick<RunPlan, 'fixedPoint'>,
  open: OpenRound,
  { aggregationWeight }: Pick<RosterEntry, 'aggregationWeight'>,
): Masking {
  // All tensors of a plan have one scale.
  const { fractionBits, range } = fixedPoint.tensors[0]!;
  return { attempt: attemptOf(open), weight: aggregationWeight, fractionBits, range };
}

export function attemptOf({ abandoned = 0 }: Pick<OpenRound, 'abandoned'>): number {
  return 1 + abandoned;
}
