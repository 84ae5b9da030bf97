/**
 * Krum: the one update that is closest to its n − f − 2 nearest others. Blanchard et al., NeurIPS 2017, arXiv:1703.02757. Ties go
 * to the first in the order of names.
 */

import { z } from 'zod';
import { squaredDistances } from './geometry.ts';
import { byScore, krumScores, neighbourCount, neighbours } from './krum-scores.ts';
import type { RobustRule } from './rule.ts';
import { byzantine, space, steps } from './rule.ts';

const options = z.strictObject({ byzantine, neighbours, preAggregation: steps, space });

export const krum: RobustRule<z.infer<typeof options>> = {
  id: 'krum',
  summary: 'the one update that is closest to its nearest others',
  source: 'Blanchard et al., NeurIPS 2017, arXiv:1703.02757',
  options,
  fewest: (f) => 2 * f + 3,
  fewestText: '2f + 3',
  combine({ geometry, points, byzantine: f }, { neighbours }) {
    const all = points.map((_, i) => i);
    const count = neighbourCount(points.length, f, neighbours);
    const [best] = byScore(all, krumScores(squaredDistances(geometry, points), all, count));
    return { kind: 'point', point: points[best!]! };
  },
};
