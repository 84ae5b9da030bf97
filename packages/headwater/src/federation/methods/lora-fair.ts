/**
 * LoRA-FAIR: averaged factors with a correction of B̄ that brings the product nearer to the mean of the products (Bian et al.,
 * ICCV 2025, arXiv:2411.14961). The paper minimises D(ΔW, (B̄ + ΔB) Ā) + λ ‖ΔB‖ by SGD with a cosine similarity as D; here D is
 * the squared Frobenius distance and λ weighs ‖ΔB‖², which has the closed form
 *
 *   ΔB = (ΔW − B̄ Ā) Āᵀ (Ā Āᵀ + λ I)⁻¹,   ΔW = Σ p_k B_k A_k.
 *
 * λ → ∞ is FedIT, λ = 0 projects ΔW onto the rows of Ā. No matrix [E, D] is made.
 */

import { z } from 'zod';
import { Matrix, solve } from '../linear-algebra.ts';
import {
  type CombinedModule,
  combineModules,
  covarianceStack,
  type ModuleCohort,
  meanFactors,
} from '../lora-cohort.ts';
import { loraFigures } from '../lora-error.ts';
import { needsLora } from '../lora-factors.ts';
import type { Method } from '../method.ts';
import { needsRounds, needsWholeSteps } from '../needs.ts';

const options = z.strictObject({
  lambda: z.number().min(0).default(0.01).describe('λ: weight of ‖ΔB‖²; large values are FedIT.'),
});

export const loraFair: Method<z.infer<typeof options>> = {
  id: 'lora-fair',
  summary: 'LoRA: factors are averaged, then B is corrected towards the mean of the products',
  source: 'Bian et al., ICCV 2025, arXiv:2411.14961 (in closed form)',
  options,
  secureAggregation: { noBecause: 'the server multiplies the factors of each client' },
  preconditions: (facts) => [...needsLora(facts.tensors), ...needsRounds(facts), ...needsWholeSteps(facts)],
  aggregate: {
    kind: 'canonical',
    figures: loraFigures('difference'),
    combine: (updates, { lambda }, context) =>
      combineModules(updates, context, 'difference', (module) => fair(module, lambda)),
  },
};

function fair({ clients }: ModuleCohort, lambda: number): CombinedModule {
  const { a, b } = meanFactors(clients);
  const lost = covarianceStack(clients);
  const gram = a.mmul(a.transpose()).add(Matrix.eye(a.rows).mul(lambda));
  const right = lost.b.mmul(lost.a.mmul(a.transpose()));
  // By singular values: with λ = 0 and rows that depend on each other it is the shortest ΔB.
  const correction = solve(gram, right.transpose(), true).transpose();
  return { a, b: Matrix.add(b, correction) };
}
