/**
 * The adaptive servers of Reddi et al. 2021 (arXiv:2003.00295, algorithm 2): m ← β₁ m + (1 − β₁) Δ̄, a second moment v,
 * w ← w + η m / (√v + τ). They differ only in v. Dialects are what other programs compute under the same names.
 */

import { z } from 'zod';
import { type ElementwiseStep, elementwiseStep } from './elementwise.ts';
import type { ServerStepInput, ServerStepOutput } from './method.ts';

/**
 * `paper`: v starts at τ², fed by Δ̄². `flower`: v starts at 0, fed by Δ̄². `openfedllm`: v starts at τ², fed by the new m²
 * (there the mean is uniform: set `federation.weighting`).
 */
export const dialect = z.enum(['paper', 'flower', 'openfedllm']).default('paper');

export interface AdaptiveOptions {
  /** β₁. */
  readonly beta1: number;
  /** τ: how adaptive the server is; small values are more. */
  readonly tau: number;
  readonly dialect: z.infer<typeof dialect>;
}

export interface AdaptiveRule<O> {
  /** v from the old v and the square that feeds it. */
  secondMoment(v: number, square: number, options: O): number;
  /** A factor on η; default 1. */
  rate?(round: number, options: O): number;
}

/** v ← β₂ v + (1 − β₂) Δ̄²; Flower's η is multiplied by √(1 − β₂^(t+1)) / (1 − β₁^(t+1)) in round t. */
export function adamStep<O extends AdaptiveOptions & { readonly beta2: number }>(
  input: ServerStepInput<O>,
): ServerStepOutput {
  const rule: AdaptiveRule<O> = {
    secondMoment: (v, square, { beta2 }) => beta2 * v + (1 - beta2) * square,
    rate: (round, { beta1, beta2, dialect }) =>
      dialect === 'flower' ? Math.sqrt(1 - beta2 ** (round + 1)) / (1 - beta1 ** (round + 1)) : 1,
  };
  return adaptiveStep(rule, input);
}

/** v ← v − (1 − β₂) Δ̄² sign(v − Δ̄²). */
export function yogiMoment(v: number, square: number, beta2: number): number {
  return v - (1 - beta2) * square * Math.sign(v - square);
}

export function adaptiveStep<O extends AdaptiveOptions>(
  rule: AdaptiveRule<O>,
  { round, params, aggregate, state, serverLearningRate, options }: ServerStepInput<O>,
): ServerStepOutput {
  const { beta1, tau, dialect } = options;
  const eta = serverLearningRate * (rule.rate?.(round, options) ?? 1);
  const elements: ElementwiseStep = {
    parts: ['moment', 'second-moment'],
    initial: [0, dialect === 'flower' ? 0 : tau * tau],
    step({ param, delta, state: memory }) {
      const m = beta1 * memory[0]! + (1 - beta1) * delta;
      const fed = dialect === 'openfedllm' ? m : delta;
      const v = rule.secondMoment(memory[1]!, fed * fed, options);
      memory[0] = m;
      memory[1] = v;
      return param + (eta * m) / (Math.sqrt(v) + tau);
    },
  };
  return elementwiseStep(elements, params, aggregate, state);
}
