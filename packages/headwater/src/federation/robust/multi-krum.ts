/**
 * Multi-Krum: the mean of the m updates with the lowest Krum scores, m = n − f − 2 unless given. Blanchard et al., NeurIPS 2017,
 * arXiv:1703.02757.
 */

import { z } from 'zod';
import { meanOf, squaredDistances } from './geometry.ts';
import { byScore, krumScores, neighbourCount, neighbours } from './krum-scores.ts';
import type { RobustRule } from './rule.ts';
import { byzantine, space, steps } from './rule.ts';

const options = z.strictObject({
  byzantine,
  keep: z.int().positive().optional().describe('m: how many updates are averaged. Default: n − f − 2.'),
  neighbours,
  preAggregation: steps,
  space,
});

export const multiKrum: RobustRule<z.infer<typeof options>> = {
  id: 'multi-krum',
  summary: 'the mean of the updates that are closest to their nearest others',
  source: 'Blanchard et al., NeurIPS 2017, arXiv:1703.02757',
  options,
  fewest: (f) => 2 * f + 3,
  fewestText: '2f + 3',
  combine({ geometry, points, byzantine: f }, { keep, neighbours }) {
    const all = points.map((_, i) => i);
    const count = neighbourCount(points.length, f, neighbours);
    const ranked = byScore(all, krumScores(squaredDistances(geometry, points), all, count));
    const kept = ranked.slice(0, keep ?? points.length - f - 2);
    return {
      kind: 'point',
      point: meanOf(
        geometry,
        kept.map((i) => points[i]!),
      ),
    };
  },
};
