/** Uniform: every owner that may be asked is as likely as every other (McMahan et al. 2017, arXiv:1602.05629). */

import { z } from 'zod';
import { sampled } from '../../base/random.ts';
import type { Selection } from './selection.ts';

export const uniform: Selection<Record<string, never>> = {
  id: 'uniform',
  summary: 'all owners are equally likely',
  source: 'McMahan et al., AISTATS 2017, arXiv:1602.05629',
  options: z.strictObject({}),
  choose: ({ candidates, count, random }) => sampled(candidates, count, random),
};
