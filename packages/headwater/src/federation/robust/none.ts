/** No robust rule: the method’s own mean, in its exact sums. Where it is chosen, `combine` is not called. */

import { z } from 'zod';
import { mixed } from './geometry.ts';
import type { RobustRule } from './rule.ts';

export const none: RobustRule<Record<string, never>> = {
  id: 'none',
  summary: 'the method’s own mean: every update is believed',
  source: 'McMahan et al., AISTATS 2017, arXiv:1602.05629',
  options: z.strictObject({}),
  weighted: true,
  combine: ({ geometry, points, shares }) => ({ kind: 'point', point: mixed(geometry, points, shares) }),
};
