/**
 * SLoRA: sparse training first, then LoRA from where it led (Babakniya et al. 2023, arXiv:2308.06522). For `sparseRounds`
 * rounds clients train and send only the weights under a random mask, the same for all, of the modules that LoRA adapts. Then
 * ΔW = U S Vᵀ; s B A with B = U_r S_r / s, A = V_rᵀ is its best approximation of rank r, the weights are the base's again, and
 * the remaining rounds are FedIT from there. What ΔW has beyond rank r is lost in the switch.
 *
 * A run that ends with a round before the switch (`keepBest`) is written as it would be after it.
 */

import { z } from 'zod';
import { needsLora } from '../lora-factors.ts';
import { fedAvgStep, type Method } from '../method.ts';
import { needsRounds } from '../needs.ts';
import { asLora, isSparse, type Mask, withSparseWeights } from '../sparse-weights.ts';

const options = z.strictObject({
  sparseRounds: z.int().positive().default(5).describe('R₁: rounds before the switch.'),
  density: z
    .number()
    .positive()
    .max(1)
    .default(0.01)
    .describe('Share of the weights that are trained before the switch.'),
  maskSeed: z.int().nonnegative().default(0),
});

type SLoraOptions = z.infer<typeof options>;

export const slora: Method<SLoraOptions> = {
  id: 'slora',
  summary: 'sparse training of the weights for some rounds, then LoRA that begins as its best approximation',
  source: 'Babakniya et al. 2023, arXiv:2308.06522',
  options,
  secureAggregation: 'yes',
  exceptions: {
    'one-owner': 'what was trained sparsely becomes the best factors of their rank, which is not all of it',
  },
  preconditions(facts, { sparseRounds }) {
    const { tensors, rounds } = facts;
    const lora = needsLora(tensors);
    const plain = lora.length > 0 || tensors.some(({ name }) => isSparse(name));
    return [
      ...lora,
      ...(plain
        ? []
        : ['it continues with products of factors, which only tuning.kind lora adds to the base']),
      ...needsRounds(facts),
      ...(rounds > sparseRounds ? [] : [`sparseRounds must be below the ${rounds} rounds of the run`]),
    ];
  },
  tuning: (bound, layout, given) => withSparseWeights(bound, layout, maskOf(given)),
  selectTrainable({ name }, round, { sparseRounds }) {
    const sparse = round <= sparseRounds;
    if (isSparse(name)) return sparse ? 'shared' : 'frozen';
    return sparse && /\.lora_[AB]\./.test(name) ? 'frozen' : 'shared';
  },
  serverStep(input) {
    const { round, options: given } = input;
    const { params } = fedAvgStep(input);
    return { params: round === given.sparseRounds ? asLora(params, maskOf(given)) : params };
  },
  trainedAlone: ({ name }) => !isSparse(name),
};

function maskOf({ density, maskSeed }: SLoraOptions): Mask {
  return { density, seed: maskSeed };
}
