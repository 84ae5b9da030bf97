/**
 * FedProx: clients minimise L + μ/2 ‖w − wᵗ‖², wᵗ the params that they began the round with (Li et al., MLSys 2020,
 * arXiv:1812.06127). The server is FedAvg's.
 */

import { z } from 'zod';
import { loraFigures } from '../lora-error.ts';
import type { Method } from '../method.ts';
import { differenceOf, scaled } from '../params.ts';

const options = z.strictObject({
  /** μ. */
  mu: z.number().min(0).default(0.01),
});

export const fedprox: Method<z.infer<typeof options>> = {
  id: 'fedprox',
  summary: 'clients are held near the global params by a proximal term',
  source: 'Li et al., MLSys 2020, arXiv:1812.06127',
  options,
  secureAggregation: 'yes',
  reducesTo: [{ id: 'fedavg', when: { mu: 0 } }],
  exceptions: { 'one-owner': 'the proximal term holds the client back' },
  aggregate: { kind: 'linear', figures: loraFigures('difference') },
  localObjective({ params, start }, { mu }) {
    if (mu === 0) return undefined;
    return scaled(differenceOf(params, start), mu);
  },
};
