/** Momentum of the server over the mean update Δ̄, plain and Nesterov’s. The velocity v starts at 0. It knows no clients. */

import { type ElementwiseStep, elementwiseStep } from './elementwise.ts';
import type { BoundStepInput, ServerStepOutput } from './method.ts';

/** v ← μ v + share · Δ̄, w ← w + η v (Hsu, Qi & Brown 2019, arXiv:1909.06335, algorithm 1, where the share is 1). */
export function momentumStep(input: BoundStepInput, momentum: number, share = 1): ServerStepOutput {
  return withVelocity(input, momentum, share, (_, velocity) => velocity);
}

/** v ← μ v + Δ̄, w ← w + η (Δ̄ + μ v) (Sutskever et al., ICML 2013). */
export function nesterovStep(input: BoundStepInput, momentum: number): ServerStepOutput {
  return withVelocity(input, momentum, 1, (delta, velocity) => delta + momentum * velocity);
}

function withVelocity(
  { params, aggregate, state: before, serverLearningRate }: BoundStepInput,
  momentum: number,
  share: number,
  direction: (delta: number, velocity: number) => number,
): ServerStepOutput {
  const rule: ElementwiseStep = {
    parts: ['velocity'],
    initial: [0],
    step({ param, delta, state }) {
      // Kept in float32 between rounds: what is applied is what is kept.
      state[0] = Math.fround(momentum * state[0]! + share * delta);
      return param + serverLearningRate * direction(delta, state[0]);
    },
  };
  return elementwiseStep(rule, params, aggregate, before);
}
