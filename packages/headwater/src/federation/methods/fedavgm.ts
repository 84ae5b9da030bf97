/**
 * FedAvgM: momentum on the server. `hsu`: v ← β v + Δ̄, w ← w + η v (Hsu, Qi & Brown 2019, arXiv:1909.06335, algorithm 1).
 * `openfedllm`: v ← β v + (1 − β) Δ̄ with v = Δ̄ in the first round, an exponential average (what OpenFedLLM computes).
 */

import { z } from 'zod';
import type { Method } from '../method.ts';
import { momentumStep } from '../server-momentum.ts';

const options = z.strictObject({
  /** β. */
  momentum: z.number().min(0).lt(1).default(0.9),
  dialect: z.enum(['hsu', 'openfedllm']).default('hsu'),
});

export const fedavgm: Method<z.infer<typeof options>> = {
  id: 'fedavgm',
  summary: 'server momentum over the mean update',
  source: 'Hsu, Qi & Brown 2019, arXiv:1909.06335; dialect: Ye et al. 2024, arXiv:2402.06954 (OpenFedLLM)',
  options,
  secureAggregation: 'yes',
  reducesTo: [{ id: 'fedavg', when: { momentum: 0, dialect: 'hsu' } }],
  exceptions: { 'one-owner': 'the velocity of earlier rounds moves the params too' },
  serverByElement: true,
  serverStep(input) {
    const { momentum, dialect } = input.options;
    return momentumStep(input, momentum, dialect === 'hsu' || input.state === undefined ? 1 : 1 - momentum);
  },
};
