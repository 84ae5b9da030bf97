/**
 * FedMeZO: clients train without backpropagation and their differences are averaged (Ling et al., KDD 2024,
 * arXiv:2402.05926). A step estimates ĝ = (1/P) Σ_p (L(θ + εz_p) − L(θ − εz_p)) / 2ε · z_p on its batch (MeZO: Malladi et al.,
 * NeurIPS 2023, arXiv:2305.17333) and gives it to the recipe's optimizer; a client holds no activations for a backward pass.
 * Learning rates are far below those of backpropagation, since E‖ĝ‖² ≈ (number of trained values / P) · ‖∇L‖²: the paper
 * takes 1e-5 for LoRA with SGD.
 */

import { z } from 'zod';
import { distribution, drawSeed } from '../directions.ts';
import { standardRound } from '../local-round.ts';
import type { Method } from '../method.ts';
import { estimatedGradient } from '../zeroth-order.ts';

const options = z.strictObject({
  epsilon: z.number().positive().default(1e-3).describe('ε: how far from θ losses are taken.'),
  perturbations: z.int().positive().default(1).describe('P: directions in a step; two forward passes each.'),
  distribution,
});

export const fedmezo: Method<z.infer<typeof options>> = {
  id: 'fedmezo',
  summary:
    'clients estimate gradients from pairs of losses, without backpropagation; differences are averaged',
  source: 'Ling et al., KDD 2024, arXiv:2402.05926; Malladi et al., NeurIPS 2023, arXiv:2305.17333',
  options,
  secureAggregation: 'yes',
  exceptions: { 'one-owner': 'gradients are estimated from losses' },
  client(local, { epsilon, perturbations, distribution: kind }) {
    const trained = (name: string) => ['shared', 'personal'].includes(local.role(name));
    return standardRound(local, {
      estimate({ params, step, loss }) {
        const random = local.random('directions').split(step);
        const directions = Array.from({ length: perturbations }, () => {
          return { seed: drawSeed(random), kind, covers: trained };
        });
        return estimatedGradient(loss, params, directions, epsilon);
      },
    });
  },
};
