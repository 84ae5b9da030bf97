/**
 * Checks that need a whole round: an update much longer than the others, an update that another owner sent before. They put an
 * update aside, never the round. Pure; what the bytes of one update show was looked at before (`update-check.ts`).
 */

import { median } from '../base/median.ts';
import type { Excluded } from './events.ts';
import { type CohortChecks, type RunPlan, stepsOf } from './plan.ts';
import type { AcceptedUpdate, OpenRound, RunState } from './state.ts';

/** Fewer lengths say nothing about which of them is usual. */
const FEWEST_NORMS = 5;

/** Sorted by owner. Never all of a round: the first of the shortest updates stays. */
export function excludedFrom(
  { plan, roster }: Pick<RunState, 'plan' | 'roster'>,
  open: OpenRound,
): Excluded[] {
  if (plan.cohortChecks === undefined) return [];
  const owners = Object.keys(open.accepted).sort();
  const copies = copiesAmong(owners, open.accepted);
  const steps = new Map(owners.map((owner) => [owner, stepsOf(plan, roster[owner]!)]));
  const limit = lengthLimits(plan.cohortChecks, owners, open.accepted, steps);
  return owners.flatMap((owner): Excluded[] => {
    const { update, norm, copyOf } = open.accepted[owner]!;
    const longest = limit(owner);
    if (norm !== undefined && norm > longest)
      return [{ owner, update, code: 'norm', reason: tooLong(norm, longest) }];
    if (copyOf !== undefined && copies.has(owner))
      return [{ owner, update, code: 'copy', of: copyOf, reason: COPIED }];
    return [];
  });
}

const COPIED = 'its bytes are those of an update that came before it in this round';

function tooLong(norm: number, longest: number): string {
  return `its length ${norm.toPrecision(3)} is more than the ${longest.toPrecision(3)} that the lengths of this round allow`;
}

/**
 * Owners whose update another one sent before. Where most updates are the same they are no copies of one owner's work: then
 * they do not depend on the data.
 */
function copiesAmong(owners: readonly string[], accepted: OpenRound['accepted']): ReadonlySet<string> {
  const copies = owners.filter((owner) => accepted[owner]!.copyOf !== undefined);
  return new Set(copies.length > owners.length / 2 ? [] : copies);
}

/** κ · median length, more for owners that take more steps than the median one: their updates are longer by right. */
function lengthLimits(
  { normFactor }: CohortChecks,
  owners: readonly string[],
  accepted: OpenRound['accepted'],
  steps: ReadonlyMap<string, number>,
): (owner: string) => number {
  const norms = owners.flatMap((owner) => accepted[owner]!.norm ?? []);
  const middle = median(norms);
  if (norms.length < FEWEST_NORMS || !(middle > 0)) return () => Number.POSITIVE_INFINITY;
  const usual = median([...steps.values()]);
  return (owner) => normFactor * middle * Math.max(1, steps.get(owner)! / usual);
}

/** What a round has to remember of an accepted update for these checks. */
export function checkedParts(
  plan: Pick<RunPlan, 'cohortChecks'>,
  open: OpenRound,
  {
    owner,
    update,
    l2Norm,
  }: { readonly owner: string; readonly update: string; readonly l2Norm: number | null },
): Pick<AcceptedUpdate, 'norm' | 'copyOf'> {
  if (plan.cohortChecks === undefined || l2Norm === null) return {};
  // Updates of zeros are all the same, and nobody's work.
  const first = l2Norm === 0 ? undefined : holderOf(open, owner, update);
  return { norm: l2Norm, ...(first === undefined ? {} : { copyOf: first }) };
}

function holderOf({ accepted }: OpenRound, owner: string, update: string): string | undefined {
  for (const other in accepted)
    if (other !== owner && accepted[other]!.update === update) return accepted[other]!.copyOf ?? other;
  return undefined;
}
