/** Sign flip: −c times what was learnt, or of what honest owners learnt in the mean. Li et al., AAAI 2019, arXiv:1811.03761. */

import { z } from 'zod';
import { type Attack, attackers } from './attack.ts';
import { times } from './vectors.ts';

const options = z.strictObject({
  owners: attackers,
  factor: z.number().positive().default(1).describe('c.'),
});

export const signFlip: Attack<z.infer<typeof options>> = {
  id: 'sign-flip',
  summary: 'sends the opposite of what it learnt',
  source: 'Li et al., AAAI 2019, arXiv:1811.03761',
  options,
  sees: 'own',
  craft: ({ own }, { factor }) => times(own, -factor),
};
