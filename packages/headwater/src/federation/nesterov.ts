/** Nesterov momentum on the server: v ← μ v + Δ̄, w ← w + η (Δ̄ + μ v), Δ̄ the mean update (Sutskever et al., ICML 2013). */

import { elementwiseStep } from './elementwise.ts';
import type { BoundStepInput, ServerStepOutput } from './method.ts';

/** `momentum` is μ; 0 is FedAvg's step. */
export function nesterovStep(
  { params, aggregate, state, serverLearningRate: eta }: BoundStepInput,
  momentum: number,
): ServerStepOutput {
  const rule = {
    parts: ['velocity'],
    initial: [0],
    step({ param, delta, state: memory }: { param: number; delta: number; state: Float64Array }) {
      // Kept in float32 between rounds: what is applied is what is kept.
      memory[0] = Math.fround(momentum * memory[0]! + delta);
      return param + eta * (delta + momentum * memory[0]);
    },
  };
  return elementwiseStep(rule, params, aggregate, state);
}
