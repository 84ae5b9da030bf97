/**
 * Meamed: per coordinate the mean of the n − f values closest to the median. Xie, Koyejo, Gupta 2018, "Generalized
 * Byzantine-tolerant SGD", arXiv:1802.10116.
 */

import { z } from 'zod';
import { medianOf } from './median.ts';
import type { RobustRule } from './rule.ts';
import { byzantine, space, steps } from './rule.ts';
import { meanAround } from './sorted.ts';

const options = z.strictObject({ byzantine, preAggregation: steps, space });

export const meanAroundMedian: RobustRule<z.infer<typeof options>> = {
  id: 'mean-around-median',
  summary: 'per coordinate the mean of the n − f values closest to the median',
  source: 'Xie et al. 2018, arXiv:1802.10116',
  options,
  fewest: (f) => 2 * f + 1,
  fewestText: '2f + 1',
  columnwise: true,
  coordinates: true,
  combine: ({ points, byzantine: f }) => ({
    kind: 'columns',
    points,
    column: (values) => meanAround(values, medianOf(values.slice()), values.length - f),
  }),
};
