/** What several methods ask of a run, as sentences for those that it does not meet. */

import type { RunFacts } from './method.ts';

/** For rules that need to know what a client's update began from. */
export function needsRounds({ mode }: RunFacts): string[] {
  if (mode !== 'buffered') return [];
  return ['its server must know which params an update began from: it works in synchronous rounds only'];
}

/** For results that are right as a whole only. */
export function needsWholeSteps({ serverLearningRate = 1 }: RunFacts): string[] {
  if (serverLearningRate === 1) return [];
  return [
    `federation.serverLearningRate is ${serverLearningRate}: its result is no direction to go part of; it must be 1`,
  ];
}

/** For methods that look at the answers themselves, or compute the loss through less than the whole network. */
export function needsAnswers({ examples }: RunFacts, why: string): string[] {
  if (examples !== 'pairs') return [];
  return [
    `training.objective learns from pairs of answers, but ${why}; leave training.objective out, or use fedavg`,
  ];
}

/** For updates that do not continue those of the round before. */
export function needsNoErrorFeedback({ compression }: RunFacts): string[] {
  if (compression !== 'top-k') return [];
  return [
    'clients begin each round with other factors: what top-k leaves out cannot be made up later; use float16, int8 or none',
  ];
}
