/**
 * The geometric median by the smoothed Weiszfeld algorithm, as RFA has it (Pillutla et al. 2022, arXiv:1912.13445): from the mean
 * on, v ← Σ w_i x_i / Σ w_i with w_i = α_i / max(ν, ‖v − x_i‖) and α the aggregation weights.
 */

import { z } from 'zod';
import { type Combination, distance, type Geometry, mixed } from './geometry.ts';
import type { RobustRule } from './rule.ts';
import { byzantineOrNone, space, steps } from './rule.ts';

const options = z.strictObject({
  iterations: z
    .int()
    .positive()
    .default(64)
    .describe('T, at most; fewer where nothing moves any more. RFA takes 3, which far outliers survive.'),
  smoothing: z.number().positive().default(1e-6).describe('ν: distances below it count as it.'),
  preAggregation: steps,
  byzantine: byzantineOrNone,
  space,
});

export const geometricMedian: RobustRule<z.infer<typeof options>> = {
  id: 'geometric-median',
  summary: 'the point whose summed distance to all updates is smallest (RFA)',
  source: 'Pillutla et al. 2022, arXiv:1912.13445',
  options,
  fewest: (f) => 2 * f + 1,
  fewestText: '2f + 1',
  weighted: true,
  combine({ geometry, points, shares }, { iterations, smoothing }) {
    const start = mixed(geometry, points, shares);
    return { kind: 'point', point: weiszfeld(geometry, points, shares, { start, iterations, smoothing }) };
  },
};

export interface Weiszfeld {
  readonly start: Combination;
  readonly iterations: number;
  readonly smoothing: number;
}

export function weiszfeld(
  geometry: Geometry,
  points: readonly Combination[],
  shares: readonly number[],
  { start, iterations, smoothing }: Weiszfeld,
): Combination {
  let median = start;
  for (let t = 0; t < iterations; t++) {
    const weights = points.map((x, i) => shares[i]! / Math.max(smoothing, distance(geometry, median, x)));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const next = mixed(
      geometry,
      points,
      weights.map((weight) => weight / total),
    );
    const moved = next.some((value, i) => Math.abs(value - median[i]!) > 1e-12);
    median = next;
    if (!moved) break;
  }
  return median;
}
