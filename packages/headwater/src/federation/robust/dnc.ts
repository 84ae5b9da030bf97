/**
 * Divide and conquer (DnC): centre the updates, find the direction in which they vary most, leave out the ⌈c f⌉ that stand out
 * most along it, take the mean of the others. Shejwalkar and Houmansadr, NDSS 2021. The paper looks at random subsets of the
 * coordinates, for want of memory; here the direction comes from the distances of all, so that there is one pass and no draw.
 */

import { z } from 'zod';
import { symmetricLeading } from '../linear-algebra.ts';
import { ascending, meanOf, squaredDistances } from './geometry.ts';
import type { RobustRule } from './rule.ts';
import { byzantine, space, steps } from './rule.ts';

const options = z.strictObject({
  byzantine,
  filter: z.number().positive().default(1).describe('c: ⌈c · f⌉ updates are left out.'),
  preAggregation: steps,
  space,
});

export const dnc: RobustRule<z.infer<typeof options>> = {
  id: 'dnc',
  summary: 'the mean without those that stand out in the direction of most variation',
  source: 'Shejwalkar and Houmansadr, NDSS 2021',
  options,
  fewest: (f) => 2 * f + 1,
  fewestText: '2f + 1',
  combine({ geometry, points, byzantine: f }, { filter }) {
    const outlying = projections(squaredDistances(geometry, points)).map((value) => value * value);
    const left = ascending(outlying).slice(0, Math.max(1, points.length - Math.ceil(filter * f)));
    return {
      kind: 'point',
      point: meanOf(
        geometry,
        left.sort((a, b) => a - b).map((i) => points[i]!),
      ),
    };
  },
};

/** Of the centred points on their first principal direction, up to its length: the leading eigenvector of their Gram matrix. */
function projections(squares: readonly (readonly number[])[]): readonly number[] {
  const n = squares.length;
  const rows = squares.map((row) => row.reduce((sum, value) => sum + value, 0) / n);
  const all = rows.reduce((sum, value) => sum + value, 0) / n;
  const gram = squares.map((row, i) => row.map((value, j) => -(value - rows[i]! - rows[j]! + all) / 2));
  return symmetricLeading(gram);
}
