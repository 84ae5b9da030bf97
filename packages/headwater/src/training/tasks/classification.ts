/**
 * How well a classifier tells classes apart: the share of right answers, and the F1 score of each class averaged over the
 * classes that occur (as truth or as answer), so that rare classes count as much as frequent ones.
 */

import { z } from 'zod';
import { assert, HeadwaterError } from '../../base/errors.ts';
import { type ClassAnswer, macroF1 } from './scorers/macro-f1.ts';
import {
  answerScore,
  type EvaluationTask,
  plainRequests,
  requireSome,
  type ScoredRequest,
  uniformChance,
} from './task.ts';

const options = z.strictObject({});

export const classification: EvaluationTask<z.infer<typeof options>> = {
  id: 'classification',
  summary: 'accuracy and macro-averaged F1 of a classifier',
  options,
  metrics: [
    { id: 'accuracy', summary: 'share of examples, 0 to 1', higherIsBetter: true },
    { id: 'macroF1', summary: 'mean of the classes’ F1 scores, 0 to 1', higherIsBetter: true },
  ],
  requests(examples) {
    for (const { kind, meta } of examples) if (kind !== 'classification') throw notClasses(meta.where);
    return plainRequests(examples);
  },
  summarise(scored) {
    requireSome(scored, 'classification');
    const answers = scored.map(classOf);
    const right = answers.filter(({ target, predicted }) => target === predicted);
    return { accuracy: right.length / answers.length, macroF1: macroF1(answers) };
  },
  chance: uniformChance,
};

function notClasses(where: string): HeadwaterError {
  return new HeadwaterError('DATA_INVALID', 'classification: the example is no text with a class', {
    where,
    hint: 'Use an encoder with the schema classification, or the tasks exact-match and multiple-choice for models that write.',
  });
}

function classOf(request: ScoredRequest): ClassAnswer {
  const { classified } = answerScore(request);
  assert(classified !== undefined, 'a text with a class was scored without one');
  return classified;
}
