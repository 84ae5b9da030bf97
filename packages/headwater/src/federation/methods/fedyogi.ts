/** FedYogi: v ← v − (1 − β₂) Δ̄² sign(v − Δ̄²) (Reddi et al. 2021, arXiv:2003.00295; Zaheer et al. 2018). */

import { z } from 'zod';
import { adaptiveStep, dialect, yogiMoment } from '../adaptive-server.ts';
import type { Method } from '../method.ts';

const options = z.strictObject({
  beta1: z.number().min(0).lt(1).default(0.9),
  beta2: z.number().min(0).lt(1).default(0.99),
  tau: z.number().positive().default(1e-3),
  dialect,
});

export const fedyogi: Method<z.infer<typeof options>> = {
  id: 'fedyogi',
  summary: 'adaptive server: like Adam, but the second moment follows slowly when updates shrink',
  source: 'Reddi et al., ICLR 2021, arXiv:2003.00295',
  options,
  secureAggregation: 'yes',
  exceptions: { 'one-owner': 'steps have the size of the server learning rate, not that of the update' },
  serverByElement: true,
  serverStep: (input) =>
    adaptiveStep({ secondMoment: (v, square, { beta2 }) => yogiMoment(v, square, beta2) }, input),
};
