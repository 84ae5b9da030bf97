/**
 * DiLoCo: many local steps, then one step of an outer Nesterov momentum on the mean movement (Douillard et al. 2023,
 * arXiv:2311.08105): v ← μ v + Δ̄, w ← w + η (Δ̄ + μ v), η the server learning rate (0.7 in the paper), H the local steps. The
 * paper keeps each worker's AdamW moments from round to round; here the inner optimizer begins afresh in each round.
 */

import { z } from 'zod';
import type { Method } from '../method.ts';
import { nesterovStep } from '../server-momentum.ts';

const options = z.strictObject({
  /** μ. */
  momentum: z.number().min(0).lt(1).default(0.9),
});

export const diloco: Method<z.infer<typeof options>> = {
  id: 'diloco',
  summary: 'outer Nesterov momentum over many local steps, for pre-training across sites',
  source: 'Douillard et al. 2023, arXiv:2311.08105',
  options,
  secureAggregation: 'yes',
  reducesTo: [{ id: 'fedavg', when: { momentum: 0 } }],
  exceptions: { 'one-owner': 'the outer momentum goes further than the update' },
  serverByElement: true,
  serverStep: (input) => nesterovStep(input, input.options.momentum),
};
