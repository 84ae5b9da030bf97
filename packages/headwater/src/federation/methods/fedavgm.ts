/**
 * FedAvgM: momentum on the server. `hsu`: v ← β v + Δ̄, w ← w + η v (Hsu, Qi & Brown 2019, arXiv:1909.06335, algorithm 1).
 * `openfedllm`: v ← β v + (1 − β) Δ̄ with v = Δ̄ in the first round, an exponential average (what OpenFedLLM computes).
 */

import { z } from 'zod';
import { elementwiseStep } from '../elementwise.ts';
import type { Method } from '../method.ts';

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
  serverStep({ params, aggregate, state, serverLearningRate, options: { momentum, dialect } }) {
    const share = dialect === 'hsu' || state === undefined ? 1 : 1 - momentum;
    const rule = {
      parts: ['velocity'],
      initial: [0],
      step({ param, delta, state: memory }: { param: number; delta: number; state: Float64Array }) {
        // Kept in float32 between rounds: what is applied is what is kept.
        memory[0] = Math.fround(momentum * memory[0]! + share * delta);
        return param + serverLearningRate * memory[0];
      },
    };
    return elementwiseStep(rule, params, aggregate, state);
  },
};
