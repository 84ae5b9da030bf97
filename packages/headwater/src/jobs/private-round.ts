/**
 * A client's round where each of its examples is protected: what leaves it may follow from one noised training alone, and what it tells
 * beside its update follows from the plan. Methods declare that they ask for no more (`exampleLevel`); this holds them to it.
 */

import { HeadwaterError } from '../base/errors.ts';
import type { LocalRound } from '../federation/local-round.ts';
import type { TrainingStats } from '../federation/training-stats.ts';
import type { ExamplePrivacyOptions } from '../training/engine.ts';

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

/** Losses, lengths and the sizes of samples follow from the data and stay; of a simulation, which protects nobody, they are told. */
export function toldStats(
  stats: TrainingStats,
  { samplingRate, randomness }: ExamplePrivacyOptions,
  numExamples: number,
): TrainingStats {
  if (randomness === 'simulated') return stats;
  return {
    steps: stats.steps,
    numExamples: Math.round(stats.steps * samplingRate * numExamples),
    numTokens: 0,
    numTargets: 0,
    meanLoss: null,
    lastLoss: null,
  };
}
