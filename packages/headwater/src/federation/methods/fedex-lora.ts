/**
 * FedEx-LoRA: FedIT made exact by a residual of the base (Singhal et al., ACL 2025, arXiv:2410.09432). With Ā = Σ p_k A_k and
 * B̄ = Σ p_k B_k, the base of everybody grows each round by
 *
 *   ΔW_res = s (Σ p_k B_k A_k − B̄ Ā) = s Σ p_k (B_k − B̄)(A_k − Ā),
 *
 * so that W + s B̄ Ā computes with the mean of the products. The official code weights clients uniformly; here
 * `federation.weighting` decides. `residual: {rank}` is the paper's truncated variant, applied to the sum of all rounds.
 */

import { z } from 'zod';
import { needsResidual, residualForm, residualRole, withResidual } from '../base-residual.ts';
import { combineModules, covarianceStack, meanFactors } from '../lora-cohort.ts';
import { loraFigures } from '../lora-error.ts';
import type { Method } from '../method.ts';
import { needsRounds, needsWholeSteps } from '../needs.ts';

const options = z.strictObject({ residual: residualForm });

export const fedexLora: Method<z.infer<typeof options>> = {
  id: 'fedex-lora',
  summary: 'LoRA: factors are averaged, what that loses is added to the base',
  source: 'Singhal et al., ACL 2025, arXiv:2410.09432',
  options,
  secureAggregation: { noBecause: 'the server multiplies the factors of each client' },
  exceptions: { 'base-weights': 'what factors cannot hold goes into a residual of the base' },
  preconditions: (facts) => [
    ...needsResidual(facts.tensors),
    ...needsRounds(facts),
    ...needsWholeSteps(facts),
  ],
  tuning: (bound, layout, { residual }) => withResidual(bound, layout, residual),
  selectTrainable: residualRole,
  aggregate: {
    kind: 'canonical',
    figures: loraFigures('difference'),
    combine: (updates, _options, context) =>
      combineModules(updates, context, 'difference', ({ clients }) => ({
        ...meanFactors(clients),
        residual: covarianceStack(clients),
      })),
  },
};
