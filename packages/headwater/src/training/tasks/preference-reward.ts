/**
 * How often the implicit reward of the chosen answer is higher than that of the rejected one, r = β log(π / π_ref) up to a
 * term of the prompt that both share (Rafailov et al. 2023, arXiv:2305.18290, eq. 5): what preference objectives train, next
 * to the model that training started from. That model itself has no preference: one half.
 */

import { z } from 'zod';
import { type EvaluationTask, meanVerdict, pairRequests, requireSome } from './task.ts';

const options = z.strictObject({
  beta: z.number().positive().default(0.1).describe('β of the reward; changes the margin, not the accuracy.'),
});

export const preferenceReward: EvaluationTask<z.infer<typeof options>> = {
  id: 'preference-reward',
  summary:
    'share of pairs whose chosen answer has the higher implicit reward, next to the model that training started from',
  options,
  comparesWithReference: true,
  metrics: [
    { id: 'rewardAccuracy', summary: 'share of pairs, 0 to 1; equals count half', higherIsBetter: true },
    {
      id: 'rewardMargin',
      summary: 'mean of beta · (log π/π_ref of the chosen − of the rejected answer)',
      higherIsBetter: true,
    },
  ],
  requests: pairRequests,
  judge({ scores }, _, { beta }) {
    const [chosen, rejected] = scores.map(({ nll, referenceNll = nll }) => beta * (referenceNll - nll));
    const margin = chosen! - rejected!;
    return { margin, right: margin === 0 ? 0.5 : Number(margin > 0) };
  },
  summarise(scored) {
    requireSome(scored, 'preference-reward');
    return { rewardAccuracy: meanVerdict(scored, 'right'), rewardMargin: meanVerdict(scored, 'margin') };
  },
  chance: () => 0.5,
};
