/**
 * Groups of a cohort whose sums are opened one by one: as many as there are whole groups of the least size, drawn by a digest, which a
 * helper tells only with the sums. Coordinator and helper make the same ones. Pure.
 */

import { rng, shuffled } from '../../base/random.ts';
import { numGroupsOf } from '../../privacy/secure-aggregation/graph.ts';

/**
 * Places in a list of `count`, in groups of at least `groupSize`, sizes as equal as they can be. One group where there is room for one.
 * `filledBy`: how many the groups are counted for, where some may be missing.
 */
export function groupsOf(
  count: number,
  groupSize: number | null,
  digest: string,
  filledBy = count,
): readonly (readonly number[])[] {
  const places = Array.from({ length: count }, (_, i) => i);
  if (groupSize === null) return [places];
  const drawn = shuffled(places, rng('secure-aggregation-groups', digest));
  const numGroups = numGroupsOf(filledBy, groupSize);
  const groups = Array.from({ length: numGroups }, (): number[] => []);
  for (const [i, place] of drawn.entries()) groups[i % numGroups]!.push(place);
  return groups.map((group) => group.sort((a, b) => a - b));
}
