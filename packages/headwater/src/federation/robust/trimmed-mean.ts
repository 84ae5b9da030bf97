/**
 * The coordinate-wise trimmed mean: without the f smallest and the f largest values of each coordinate. Yin et al., ICML 2018,
 * arXiv:1803.01498.
 */

import { z } from 'zod';
import type { RobustRule } from './rule.ts';
import { byzantine, space, steps } from './rule.ts';
import { sorted } from './sorted.ts';

const options = z.strictObject({ byzantine, preAggregation: steps, space });

export const trimmedMean: RobustRule<z.infer<typeof options>> = {
  id: 'trimmed-mean',
  summary: 'the mean of every coordinate without its f smallest and f largest values',
  source: 'Yin et al., ICML 2018, arXiv:1803.01498',
  options,
  fewest: (f) => 2 * f + 1,
  fewestText: '2f + 1',
  columnwise: true,
  coordinates: true,
  combine: ({ points, byzantine: f }) => ({
    kind: 'columns',
    points,
    column: (values) => trimmed(values, f),
  }),
};

function trimmed(values: Float64Array, f: number): number {
  const ordered = sorted(values);
  let sum = 0;
  for (let i = f; i < ordered.length - f; i++) sum += ordered[i]!;
  return sum / (ordered.length - 2 * f);
}
