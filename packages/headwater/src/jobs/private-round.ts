/**
 * A client's round where each of its examples is protected: what leaves it may follow from one noised training alone, and what it tells
 * beside its update follows from the plan. Methods declare that they ask for no more (`exampleLevel`); this holds them to it.
 */

import { HeadwaterError } from '../base/errors.ts';
import type { LocalRound } from '../federation/local-round.ts';
import type { TrainingStats } from '../federation/training-stats.ts';

/** Throws PRIVACY_INVALID, when asked, for what no noise covers. */
export function noisedRound(local: LocalRound, method: string): LocalRound {
  const refuse = (what: string) => (): never => {
    throw new HeadwaterError(
      'PRIVACY_INVALID',
      `privacy.exampleLevel: ${method} asks a client for ${what}, which no noise covers`,
      { hint: 'Its record declares exampleLevel; say no there, and why.' },
    );
  };
  let trained = false;
  return {
    ...local,
    examples: [],
    writing: undefined,
    async train(params, task = {}) {
      if (trained) refuse('a second training')();
      if (task.examples !== undefined || task.teacher !== undefined) refuse('a training of its own')();
      trained = true;
      return local.train(params, task);
    },
    distributions: refuse('what a model says of its examples'),
    loss: refuse('a loss'),
    gradients: refuse('gradients'),
    gradientsOn: refuse('gradients'),
    lossOnAll: refuse('a loss'),
  };
}

/** Losses, lengths and the sizes of samples follow from the data and stay. `numExamples`: as the plan has it. */
export function toldStats({ steps }: TrainingStats, numExamples: number): TrainingStats {
  return {
    ...{ steps, numExamples: Math.round(numExamples) },
    ...{ numTokens: 0, numTargets: 0, meanLoss: null, lastLoss: null },
  };
}
