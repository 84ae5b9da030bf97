/** What methods without gradients ask of a recipe: settings that they could not follow are refused, not ignored. */

import { needsSgd } from './local-sgd.ts';
import type { RunFacts } from './method.ts';

/** For steps along known directions, which anybody can replay: θ ← θ − lr · slope · z and nothing else. */
export function needsPlainSteps(facts: RunFacts): string[] {
  const { optimizer } = facts;
  const decays = optimizer !== undefined && optimizer.weightDecay !== 0;
  return [
    ...needsSgd(facts, { momentum: false }),
    ...(decays
      ? [`training.optimizer.weightDecay is ${optimizer.weightDecay}; its formulas hold for 0`]
      : []),
    ...needsNoClipping(facts),
  ];
}

export function needsNoClipping({ maxGradNorm }: RunFacts): string[] {
  return maxGradNorm === undefined ? [] : ['it has no gradient to clip: leave out training.maxGradNorm'];
}
