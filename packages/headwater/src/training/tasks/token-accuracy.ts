/** Share of supervised tokens whose teacher-forced argmax is right. */

import { z } from 'zod';
import { type EvaluationTask, requireSome, sumOf } from './task.ts';

const options = z.strictObject({});

export const tokenAccuracy: EvaluationTask<z.infer<typeof options>> = {
  id: 'token-accuracy',
  summary: 'share of supervised tokens predicted rightly',
  options,
  metrics: [{ id: 'tokenAccuracy', summary: 'share of tokens, 0 to 1', higherIsBetter: true }],
  summarise(scored) {
    requireSome(scored, 'token-accuracy');
    return {
      tokenAccuracy: sumOf(scored, (score) => score.numCorrect) / sumOf(scored, (score) => score.numTargets),
    };
  },
};
