/**
 * Bulyan: Krum chooses θ = n − 2f updates one after the other, each time among those that are left; then per coordinate the mean
 * of the θ − 2f values closest to the median of these. El Mhamdi et al., ICML 2018, arXiv:1802.07927.
 */

import { z } from 'zod';
import { squaredDistances } from './geometry.ts';
import { byScore, krumScores, neighbourCount } from './krum-scores.ts';
import { medianOf } from './median.ts';
import type { RobustRule } from './rule.ts';
import { byzantine, space, steps } from './rule.ts';
import { meanAround } from './sorted.ts';

const options = z.strictObject({ byzantine, preAggregation: steps, space });

export const bulyan: RobustRule<z.infer<typeof options>> = {
  id: 'bulyan',
  summary: 'Krum chooses n − 2f updates, of which each coordinate is trimmed around its median',
  source: 'El Mhamdi et al., ICML 2018, arXiv:1802.07927',
  options,
  fewest: (f) => 4 * f + 3,
  fewestText: '4f + 3',
  coordinates: true,
  combine({ geometry, points, byzantine: f }) {
    const squares = squaredDistances(geometry, points);
    const chosen = chooseByKrum(squares, f).map((i) => points[i]!);
    const count = chosen.length - 2 * f;
    return {
      kind: 'columns',
      points: chosen,
      column: (values) => meanAround(values, medianOf(values.slice()), count),
    };
  },
};

/** In the order in which they were chosen. */
export function chooseByKrum(squares: readonly (readonly number[])[], f: number): number[] {
  let left = squares.map((_, i) => i);
  const chosen: number[] = [];
  while (chosen.length < squares.length - 2 * f) {
    const scores = krumScores(squares, left, neighbourCount(left.length, f, 'n-f-2'));
    const best = byScore(left, scores)[0]!;
    chosen.push(best);
    left = left.filter((i) => i !== best);
  }
  return chosen;
}
