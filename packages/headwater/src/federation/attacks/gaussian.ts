/** Noise in place of an update: N(μ, σ²) in every coordinate, of the seed. */

import { z } from 'zod';
import { type Attack, attackers } from './attack.ts';

const options = z.strictObject({
  owners: attackers,
  mean: z.number().default(0).describe('μ.'),
  deviation: z.number().positive().describe('σ.'),
});

export const gaussian: Attack<z.infer<typeof options>> = {
  id: 'gaussian',
  summary: 'sends noise',
  source: 'Blanchard et al., NeurIPS 2017, arXiv:1703.02757',
  options,
  sees: 'honest',
  craft: ({ size, random }, { mean, deviation }) =>
    Float64Array.from({ length: size }, () => mean + deviation * random.normal()),
};
