/** Inner-product manipulation: −τ times the mean of the honest updates. Xie et al., UAI 2019, arXiv:1903.03936. */

import { z } from 'zod';
import { type Attack, attackers } from './attack.ts';
import { meanOf, times } from './vectors.ts';

const options = z.strictObject({
  owners: attackers,
  factor: z
    .number()
    .positive()
    .default(2)
    .describe('τ. With f of n adversaries a mean turns round where τ > (n − f) / f; small ones hide.'),
});

export const ipm: Attack<z.infer<typeof options>> = {
  id: 'ipm',
  summary: 'sends the opposite of the honest owners’ mean',
  source: 'Xie et al., UAI 2019, arXiv:1903.03936',
  options,
  sees: 'honest',
  alike: true,
  craft: ({ honest }, { factor }) => times(meanOf(honest), -factor),
};
