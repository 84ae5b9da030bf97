/**
 * Share of examples that greedy decoding would complete exactly: every teacher-forced argmax is right, because greedy
 * decoding leaves the right path at the first wrong argmax and never before. One forward pass, no decoding.
 */

import { z } from 'zod';
import { answerScore, type EvaluationTask, requireSome, uniformChance } from './task.ts';

const options = z.strictObject({});

export const exactMatch: EvaluationTask<z.infer<typeof options>> = {
  id: 'exact-match',
  summary: 'share of completions that greedy decoding gives exactly',
  options,
  metrics: [{ id: 'exactMatch', summary: 'share of examples, 0 to 1', higherIsBetter: true }],
  summarise(scored) {
    requireSome(scored, 'exact-match');
    const exact = scored.filter((request) => {
      const { numCorrect, numTargets } = answerScore(request);
      return numCorrect === numTargets;
    });
    return { exactMatch: exact.length / scored.length };
  },
  chance: uniformChance,
};
