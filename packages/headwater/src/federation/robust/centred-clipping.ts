/**
 * Centred clipping: from the aggregate of the round before on, v ← v + 1/n Σ (x_i − v) min(1, τ / ‖x_i − v‖). Karimireddy et al.,
 * ICML 2021, arXiv:2012.10333. The first round begins at zero.
 */

import { z } from 'zod';
import { type Combination, distance, type Geometry } from './geometry.ts';
import type { RobustRule } from './rule.ts';
import { byzantineOrNone, space, steps } from './rule.ts';

const options = z.strictObject({
  radius: z.number().positive().describe('τ: as far as one update may pull, in units of an update’s norm.'),
  iterations: z.int().positive().default(1).describe('L: how often.'),
  preAggregation: steps,
  byzantine: byzantineOrNone,
  space,
});

export const centredClipping: RobustRule<z.infer<typeof options>> = {
  id: 'centred-clipping',
  summary: 'each update pulls the aggregate of the round before, no further than a radius',
  source: 'Karimireddy et al., ICML 2021, arXiv:2012.10333',
  options,
  keeps: 'aggregate',
  combine({ geometry, points, previous }, { radius, iterations }) {
    let point = previous;
    for (let l = 0; l < iterations; l++) point = pulled(geometry, points, point, radius);
    return { kind: 'point', point };
  },
};

function pulled(
  geometry: Geometry,
  points: readonly Combination[],
  from: Combination,
  radius: number,
): Combination {
  const next = Float64Array.from(from);
  for (const point of points) {
    const away = distance(geometry, point, from);
    const part = Math.min(1, radius / away) / points.length;
    if (away > 0) for (let i = 0; i < next.length; i++) next[i]! += part * (point[i]! - from[i]!);
  }
  return next;
}
