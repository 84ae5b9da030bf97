/**
 * Identity preference optimization (Azar et al. 2023, arXiv:2310.12036, eq. 17): (m − 1/(2β))² with the margin m of a pair
 * and the paper's τ as β: a margin has a target, so certain preferences do not drive it to infinity.
 */

import { z } from 'zod';
import { mul, sub } from '../../graph/ops/index.ts';
import type { Objective } from './objective.ts';
import { lengthNormalised, pairObjective } from './pair-loss.ts';

const options = z.strictObject({
  beta: z.number().positive().default(0.1).describe('β: margins are drawn to 1 / (2β).'),
  lengthNormalised,
});

export const ipo: Objective<z.infer<typeof options>> = {
  id: 'ipo',
  summary: 'identity preference optimization: the margin of a pair is drawn to 1 / (2 beta)',
  source: 'Azar et al. 2023, arXiv:2310.12036',
  options,
  examples: 'pairs',
  bind: ({ beta, lengthNormalised }) =>
    pairObjective({
      ...{ id: 'ipo', beta, lengthNormalised },
      form: `ipo, beta ${beta}`,
      of(margins) {
        const distance = sub(margins, margins.graph.scalar(1 / (2 * beta)));
        return mul(distance, distance);
      },
    }),
};
