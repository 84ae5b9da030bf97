/** What is known of a client's movement when it trained by plain stochastic gradient descent. It knows no tensors. */

import type { OptimizerOptions, StepReport } from '../training/engine.ts';
import type { RunFacts } from './method.ts';

type Rates = readonly Pick<StepReport, 'learningRate'>[];

/** Σ η_t over the steps: H η where the rate does not change. */
export function sumOfRates(steps: Rates): number {
  return steps.reduce((sum, { learningRate }) => sum + learningRate, 0);
}

/**
 * ‖a‖₁ of Δ = −η Σ_t a_t g_t, in steps of the recipe's rate η: the movement if every gradient were 1. Plain: τ. Momentum ρ:
 * (τ − ρ (1 − ρ^τ) / (1 − ρ)) / (1 − ρ). A proximal term μ alone: (1 − (1 − ημ)^τ) / (ημ) (Wang et al. 2020).
 */
export function accumulatedSteps(
  steps: Rates,
  { momentum, learningRate: eta }: Pick<OptimizerOptions, 'momentum' | 'learningRate'>,
  mu: number,
): number {
  let moved = 0;
  let velocity = 0;
  for (const { learningRate } of steps) {
    velocity = momentum * velocity + 1 - mu * eta * moved;
    moved += (learningRate / eta) * velocity;
  }
  return moved;
}

/** Why a method for SGD cannot work here. `momentum: false`: not with momentum either. */
export function needsSgd({ optimizer }: RunFacts, { momentum }: { readonly momentum: boolean }): string[] {
  if (optimizer === undefined) return [];
  if (optimizer.kind !== 'sgd')
    return [`its formulas hold for sgd, and training.optimizer.kind is ${optimizer.kind}: set it to sgd`];
  if (!momentum && optimizer.momentum !== 0)
    return [
      `its formulas hold without momentum, and training.optimizer.momentum is ${optimizer.momentum}: set it to 0`,
    ];
  return [];
}
