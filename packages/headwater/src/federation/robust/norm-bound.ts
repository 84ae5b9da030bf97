/** Norm bound: the weighted mean of x_i · min(1, C / ‖x_i‖). Sun et al. 2019, arXiv:1911.07963. */

import { z } from 'zod';
import { mixed, normOf, shrunk } from './geometry.ts';
import type { RobustRule } from './rule.ts';
import { byzantineOrNone, space, steps } from './rule.ts';

const options = z.strictObject({
  norm: z.number().positive().describe('C: longer updates are scaled down to it.'),
  preAggregation: steps,
  byzantine: byzantineOrNone,
  space,
});

export const normBound: RobustRule<z.infer<typeof options>> = {
  id: 'norm-bound',
  summary: 'the mean of the updates, long ones scaled down',
  source: 'Sun et al. 2019, arXiv:1911.07963',
  options,
  weighted: true,
  combine({ geometry, points, shares }, { norm }) {
    const bounded = points.map((point) => {
      const length = normOf(geometry, point);
      return length > norm ? shrunk(geometry, point, norm / length) : point;
    });
    return { kind: 'point', point: mixed(geometry, bounded, shares) };
  },
};
