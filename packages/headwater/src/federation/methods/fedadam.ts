/** FedAdam: v ← β₂ v + (1 − β₂) Δ̄² (Reddi et al. 2021, arXiv:2003.00295). Flower also corrects for the start at zero. */

import { z } from 'zod';
import { adamStep, dialect } from '../adaptive-server.ts';
import type { Method } from '../method.ts';

/** Of FedAdam, and of methods whose server is FedAdam's. */
export const adamOptions = {
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1).default(0.99),
  tau: z.number().positive().default(1e-3),
  dialect,
};

const options = z.strictObject(adamOptions);

export const fedadam: Method<z.infer<typeof options>> = {
  id: 'fedadam',
  summary: 'adaptive server: Adam on the mean update',
  source: 'Reddi et al., ICLR 2021, arXiv:2003.00295',
  options,
  secureAggregation: 'yes',
  exceptions: { 'one-owner': 'steps have the size of the server learning rate, not that of the update' },
  serverByElement: true,
  serverStep: adamStep,
};
