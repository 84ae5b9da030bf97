/** FedAdagrad: v ← v + Δ̄² (Reddi et al. 2021, arXiv:2003.00295). Flower's has no first moment (β₁ = 0). */

import { z } from 'zod';
import { adaptiveStep, dialect } from '../adaptive-server.ts';
import type { Method } from '../method.ts';

const options = z.strictObject({
  beta1: z.number().min(0).lt(1).default(0),
  tau: z.number().positive().default(1e-3),
  dialect,
});

export const fedadagrad: Method<z.infer<typeof options>> = {
  id: 'fedadagrad',
  summary: 'adaptive server: steps shrink with all the movement so far',
  source: 'Reddi et al., ICLR 2021, arXiv:2003.00295',
  options,
  secureAggregation: 'yes',
  exceptions: { 'one-owner': 'steps have the size of the server learning rate, not that of the update' },
  serverByElement: true,
  serverStep: (input) => adaptiveStep({ secondMoment: (v, square) => v + square }, input),
};
