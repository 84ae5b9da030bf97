/**
 * FLoRIST: FLoRA with the stack's product cut by its energy (arXiv:2506.09199, MLSys 2026). With the singular values S of
 * Σ p_k B_k A_k, found without a matrix [E, D], the base of everybody grows by the first p directions, p the least with
 *
 *   Σ_{j≤p} S_j² ≥ τ Σ_j S_j²,
 *
 * module by module; the relative error² is at most 1 − τ. As in FLoRA, clients begin each round with fresh factors.
 */

import { z } from 'zod';
import { needsResidual, residualForm, residualRole, withResidual } from '../base-residual.ts';
import { firstColumns, type Matrix, scaleColumns, svdOfProduct } from '../linear-algebra.ts';
import { cohortOf, combineModules, type ModuleCohort, weightedStack } from '../lora-cohort.ts';
import { loraFigures } from '../lora-error.ts';
import type { Method } from '../method.ts';
import { needsNoErrorFeedback, needsRounds } from '../needs.ts';
import { ownerRanks, rankMistakes, rankSlots } from '../owner-ranks.ts';
import { stackedRound, withoutFactors } from '../stacked-round.ts';

const options = z.strictObject({
  energy: z.number().gt(0).max(1).default(0.99).describe('τ: energy that is kept; 1 is FLoRA.'),
  ranks: ownerRanks,
  residual: residualForm,
});

export const florist: Method<z.infer<typeof options>> = {
  id: 'florist',
  summary: 'LoRA with ranks by owner: the stack is merged into the base after a cut by singular energy',
  source: 'FLoRIST, MLSys 2026, arXiv:2506.09199',
  options,
  reducesTo: [{ id: 'flora', when: { energy: 1, residual: 'dense' }, within: 'quantum' }],
  secureAggregation: { noBecause: 'the server multiplies the factors of each client' },
  exceptions: {
    'one-owner': 'clients begin their factors afresh in every round',
    'base-weights': 'what factors cannot hold goes into a residual of the base',
  },
  preconditions: (facts, own) => [
    ...needsResidual(facts.tensors),
    ...needsRounds(facts),
    ...needsNoErrorFeedback(facts),
    ...rankMistakes(facts, own),
  ],
  tuning: (bound, layout, { residual }) => withResidual(bound, layout, residual),
  selectTrainable: residualRole,
  ...rankSlots(),
  client: stackedRound,
  receivesAs: () => 'all',
  encodeDown: withoutFactors,
  aggregate: {
    kind: 'canonical',
    figures: (updates, own, round) => ({
      ...loraFigures('whole')(updates, own, round),
      keptRank: meanRank(cohortOf(updates, round.before, 'whole'), own.energy),
    }),
    combine: (updates, { energy }, context) =>
      combineModules(updates, context, 'whole', (module) => ({ residual: thresholded(module, energy) })),
  },
};

/** Directions kept, on average over the modules. */
function meanRank(modules: Iterable<ModuleCohort>, energy: number): number {
  const ranks = Array.from(modules, (module) => thresholded(module, energy).a.rows);
  return ranks.reduce((sum, rank) => sum + rank, 0) / ranks.length;
}

function thresholded({ clients }: ModuleCohort, energy: number): { readonly b: Matrix; readonly a: Matrix } {
  const { b, a } = weightedStack(clients);
  const { u, s, v } = svdOfProduct(b, a);
  const rank = keptDirections(s, energy);
  return {
    b: firstColumns(scaleColumns(u, s), rank),
    a: firstColumns(v, rank).transpose(),
  };
}

/** The least p ≥ 1 with Σ_{j≤p} S_j² ≥ τ Σ S_j²; all for τ = 1. */
function keptDirections(s: readonly number[], energy: number): number {
  const total = s.reduce((sum, value) => sum + value * value, 0);
  if (energy === 1 || total === 0) return s.length;
  let kept = 0;
  const at = s.findIndex((value) => {
    kept += value * value;
    return kept >= energy * total;
  });
  return at + 1;
}
