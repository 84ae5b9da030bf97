/**
 * Direct preference optimization (Rafailov et al. 2023, arXiv:2305.18290, eq. 7): −log σ(β m) with the margin m of a pair.
 * With labelSmoothing ε (conservative DPO, Mitchell 2023): −(1 − ε) log σ(β m) − ε log σ(−β m).
 */

import { z } from 'zod';
import { tensor } from '../../base/tensor.ts';
import type { Value } from '../../graph/ir.ts';
import { concat, logSoftmax, matmul, reshape, scale } from '../../graph/ops/index.ts';
import { dim } from '../../graph/shapes.ts';
import type { Objective } from './objective.ts';
import { lengthNormalised, pairObjective } from './pair-loss.ts';

const options = z.strictObject({
  beta: z.number().positive().default(0.1).describe('β: how strongly the model is held to its reference.'),
  labelSmoothing: z
    .number()
    .min(0)
    .lt(0.5)
    .default(0)
    .describe('ε: share of pairs whose label is taken to be wrong (conservative DPO).'),
  lengthNormalised,
});

export const dpo: Objective<z.infer<typeof options>> = {
  id: 'dpo',
  summary:
    'direct preference optimization: chosen answers become likelier than rejected ones, next to a reference',
  source: 'Rafailov et al. 2023, arXiv:2305.18290; conservative form: Mitchell 2023',
  options,
  examples: 'pairs',
  bind: ({ beta, labelSmoothing, lengthNormalised }) =>
    pairObjective({
      ...{ id: 'dpo', beta, lengthNormalised },
      form: `dpo, beta ${beta}, labelSmoothing ${labelSmoothing}`,
      of: (margins) => smoothed(scale(margins, beta), labelSmoothing),
    }),
};

/** log σ(z) and log σ(−z) are the log-softmax of the row (z, 0): nothing overflows. */
function smoothed(logits: Value, epsilon: number): Value {
  const { graph } = logits;
  const numPairs = dim(logits.shape, 0);
  const column = reshape(logits, [numPairs, 1]);
  const zeros = graph.constant(tensor('float32', [numPairs, 1], new Float32Array(numPairs)));
  const rows = logSoftmax(concat([column, zeros], 1));
  const labels = graph.constant(tensor('float32', [2, 1], Float32Array.of(epsilon - 1, -epsilon)));
  return reshape(matmul(rows, labels), [numPairs]);
}
