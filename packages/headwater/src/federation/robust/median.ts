/**
 * The coordinate-wise median: of an even number the mean of the two in the middle. Yin et al., ICML 2018, arXiv:1803.01498. It
 * stays within the honest values of each coordinate while fewer than half are bad.
 */

import { z } from 'zod';
import type { RobustRule } from './rule.ts';
import { byzantineOrNone, space, steps } from './rule.ts';
import { sorted } from './sorted.ts';

const options = z.strictObject({ byzantine: byzantineOrNone, preAggregation: steps, space });

export const median: RobustRule<z.infer<typeof options>> = {
  id: 'median',
  summary: 'the median of every coordinate',
  source: 'Yin et al., ICML 2018, arXiv:1803.01498',
  options,
  fewest: (f) => 2 * f + 1,
  fewestText: '2f + 1',
  columnwise: true,
  coordinates: true,
  combine: ({ points }) => ({ kind: 'columns', points, column: medianOf }),
};

/** Sorts its argument. */
export function medianOf(values: Float64Array): number {
  const ordered = sorted(values);
  const middle = ordered.length >> 1;
  return ordered.length % 2 === 1 ? ordered[middle]! : (ordered[middle - 1]! + ordered[middle]!) / 2;
}
