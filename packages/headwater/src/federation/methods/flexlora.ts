/**
 * FlexLoRA: the mean of the products, factored again and cut for each owner (Bai et al., NeurIPS 2024, arXiv:2402.11505):
 *
 *   ΔW = Σ p_k B_k A_k = U S Vᵀ,   B ← U[:, :R] S[:R],   A ← Vᵀ[:R];   an owner of rank r gets B[:, :r], A[:r].
 *
 * Its error is Σ_{j>r} σ_j² (Eckart and Young), a smaller adapter is the beginning of a larger one. Here s = α / R is the
 * same for all owners and drops out; in the official code it is α / r_k. Signs are fixed, and no matrix [E, D] is made. Where
 * ΔW has fewer than R directions, A is filled with directions of the old A at right angles, whose columns of B are zero.
 */

import { z } from 'zod';
import {
  firstColumns,
  Matrix,
  numericalRank,
  scaleColumns,
  svdOfProduct,
  withColumns,
} from '../linear-algebra.ts';
import { type CombinedModule, combineModules, type ModuleCohort, weightedStack } from '../lora-cohort.ts';
import { loraFigures } from '../lora-error.ts';
import { needsLora } from '../lora-factors.ts';
import type { Method } from '../method.ts';
import { needsRounds, needsWholeSteps } from '../needs.ts';
import { ownerRanks, rankMistakes, rankSlots } from '../owner-ranks.ts';

const options = z.strictObject({ ranks: ownerRanks });

export const flexlora: Method<z.infer<typeof options>> = {
  id: 'flexlora',
  summary: 'LoRA with ranks by owner: products are averaged and factored again by singular values',
  source: 'Bai et al., NeurIPS 2024, arXiv:2402.11505',
  options,
  secureAggregation: { noBecause: 'the server multiplies the factors of each client' },
  exceptions: { 'still-round': 'factors are found anew; only their product stays' },
  preconditions: (facts, own) => [
    ...needsLora(facts.tensors),
    ...needsRounds(facts),
    ...needsWholeSteps(facts),
    ...rankMistakes(facts, own),
  ],
  ...rankSlots(),
  aggregate: {
    kind: 'canonical',
    figures: loraFigures('difference'),
    combine: (updates, _options, context) => combineModules(updates, context, 'difference', refactored),
  },
};

function refactored({ before, clients }: ModuleCohort): CombinedModule {
  const { b, a } = weightedStack(clients);
  const { u, s, v } = svdOfProduct(b, a);
  const rank = before.a.rows;
  const found = Math.min(rank, numericalRank(s));
  if (found === 0) return { b: Matrix.zeros(before.b.rows, rank) };
  return {
    b: withColumns(firstColumns(scaleColumns(u, s), found), rank),
    a: filled(firstColumns(v, found).transpose(), before.a),
  };
}

/** Orthonormal rows and, below them, what the candidates have at right angles to them; zeros where nothing is left. */
function filled(rows: Matrix, candidates: Matrix): Matrix {
  const result = rows.to2DArray();
  for (const candidate of candidates.to2DArray()) {
    if (result.length === candidates.rows) break;
    const length = Math.hypot(...candidate);
    // Twice: the first subtraction leaves rounding of the size of what it removed.
    for (let pass = 0; pass < 2; pass++)
      for (const row of result) {
        const along = row.reduce((sum, value, i) => sum + value * candidate[i]!, 0);
        for (let i = 0; i < candidate.length; i++) candidate[i]! -= along * row[i]!;
      }
    const left = Math.hypot(...candidate);
    if (left > 1e-6 * length) result.push(candidate.map((value) => value / left));
  }
  while (result.length < candidates.rows) result.push(new Array<number>(rows.columns).fill(0));
  return new Matrix(result);
}
