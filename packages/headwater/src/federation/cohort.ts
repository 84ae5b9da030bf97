/** Who is drawn where every owner is as welcome as another. Pure; it knows no state of a run. */

import { type Rng, rng, sampled } from '../base/random.ts';

/** Tries for one name before everybody is looked through: most owners of a large roster may be asked. */
const TRIES = 16;

/** Up to `count` of the owners that may be asked, without replacement. */
export function drawUniformly(
  owners: readonly string[],
  may: (owner: string) => boolean,
  count: number,
  random: Rng,
): readonly string[] {
  if (count > 1 || owners.length <= TRIES) {
    const others = owners.filter(may);
    return count >= others.length ? others : sampled(others, count, random);
  }
  // A buffered round asks one owner for each that answered.
  for (let i = 0; i < TRIES; i++) {
    const owner = owners[random.below(owners.length)]!;
    if (may(owner)) return [owner];
  }
  return sampled(owners.filter(may), 1, random);
}

/** Each of the owners on its own with the same probability. */
export function drawEach(owners: readonly string[], rate: number, random: Rng): readonly string[] {
  return owners.filter(() => random.uniform() < rate);
}

/** Of the first draw of a round. `more`: tells later draws of the same round apart. */
export function cohortRandom(seed: number, round: number, more: readonly (string | number)[] = []): Rng {
  return rng(seed, 'cohort', round, ...more);
}
