/**
 * Ditto: beside the global model each owner trains one of its own that is held near it (Li et al., ICML 2021,
 * arXiv:2012.04221): the global path is FedAvg's, v_k ← v_k − η (∇F_k(v_k) + λ (v_k − wᵗ)). v_k never travels; the owner
 * is scored with it. λ = 0: every owner trains alone; λ large: v_k = wᵗ. A round is two trainings of `localSteps` each.
 */

import { z } from 'zod';
import { standardRound } from '../local-round.ts';
import type { Method } from '../method.ts';
import { differenceOf, overlaid, scaled } from '../params.ts';

const options = z.strictObject({
  lambda: z
    .number()
    .min(0)
    .default(0.1)
    .describe('λ: how near the own model stays to the global one; 0: not at all. Twice the compute.'),
});

export const ditto: Method<z.infer<typeof options>> = {
  id: 'ditto',
  summary: 'FedAvg, and at each owner a model of its own held near the global one',
  source: 'Li et al., ICML 2021, arXiv:2012.04221',
  options,
  secureAggregation: 'yes',
  exampleLevel: { noBecause: 'an owner trains a second, personal model on the same examples' },
  exceptions: { 'one-owner': 'an owner uses a model of its own, held near the global one' },
  async client(local, { lambda }) {
    const outcome = await standardRound(local);
    const { params } = await local.train(local.memory ?? local.start, {
      extraGradient: (own) => (lambda === 0 ? undefined : scaled(differenceOf(own, local.start), lambda)),
    });
    return { ...outcome, memory: params };
  },
  ownParams: (params, { memory }) => overlaid(params, memory ?? new Map()),
};
