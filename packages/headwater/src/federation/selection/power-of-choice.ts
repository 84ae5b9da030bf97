/**
 * Power-of-choice: d owners are drawn, and of these the ones with the largest loss are asked (Cho et al. 2020,
 * arXiv:2010.01243). Here the loss is the one of an owner's last training, the paper's variant that costs no messages
 * (π_rpow-d); who never trained comes first. d = the cohort's size is a plain draw.
 *
 * The paper draws candidates by p_k and averages uniformly. Headwater's mean weighs by p_k already, so that candidates are
 * drawn uniformly unless `draw: weight` says otherwise; then set `federation.weighting: uniform`.
 */

import { z } from 'zod';
import { sampled } from '../../base/random.ts';
import { lastLosses } from './history.ts';
import type { Selection } from './selection.ts';
import { weightedSample } from './weighted-sample.ts';

const options = z.strictObject({
  candidates: z
    .int()
    .positive()
    .optional()
    .describe('d: owners drawn, at least the cohort. Default: twice the cohort.'),
  draw: z.enum(['uniform', 'weight']).default('uniform').describe('How the candidates are drawn.'),
});

export const powerOfChoice: Selection<z.infer<typeof options>> = {
  id: 'power-of-choice',
  summary: 'of some owners drawn, those with the largest loss',
  source: 'Cho, Wang & Joshi 2020, arXiv:2010.01243',
  options,
  choose(context, { candidates: d = 2 * context.count, draw }) {
    const { candidates, count, random } = context;
    const size = Math.min(candidates.length, Math.max(d, count));
    const drawn =
      draw === 'uniform'
        ? sampled(candidates, size, random)
        : weightedSample(candidates, size, ({ aggregationWeight }) => aggregationWeight, random);
    const losses = lastLosses(context);
    const loss = (index: number) => losses.get(drawn[index]!.owner)!;
    // Of equals the first drawn; two infinities are equal, though their difference is no number.
    const order = [...drawn.keys()].sort((a, b) => (loss(a) === loss(b) ? a - b : loss(b) - loss(a)));
    return order.slice(0, count).map((index) => drawn[index]!);
  },
};
