/** Drawing without replacement by weight. Sums and products only: the same on every machine. */

import { assert } from '../../base/errors.ts';
import type { Rng } from '../../base/random.ts';

/** One after the other, each with probability weight / Σ weights of those left. `weightOf` ≥ 0; zeros come last. */
export function weightedSample<T>(
  items: readonly T[],
  count: number,
  weightOf: (item: T) => number,
  random: Rng,
): T[] {
  assert(count <= items.length, `${count} of ${items.length} cannot be drawn`);
  const left = items.map((item) => ({ item, weight: weightOf(item) }));
  const drawn: T[] = [];
  while (drawn.length < count) {
    const total = left.reduce((sum, { weight }) => sum + weight, 0);
    const index = total > 0 ? positionOf(left, random.uniform() * total) : random.below(left.length);
    drawn.push(left.splice(index, 1)[0]!.item);
  }
  return drawn;
}

function positionOf(items: readonly { readonly weight: number }[], point: number): number {
  let rest = point;
  let last = 0;
  for (const [index, { weight }] of items.entries()) {
    if (weight === 0) continue;
    if (rest < weight) return index;
    rest -= weight;
    last = index;
  }
  return last;
}
