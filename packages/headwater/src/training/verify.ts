/**
 * Comparing our numbers with reference numbers: relative errors, tolerances and the report. Pure; what is computed and
 * where references lie is `verify-node.ts`'s business.
 */

import { assert } from '../base/errors.ts';

/** float32 against float32 on another engine. */
export const TOLERANCES = {
  /** Logits and gradients: ‖difference‖ ≤ 1e-4 · max(‖reference‖, 1e-5 · ‖all gradients together‖). */
  values: 1e-4,
  /** Parameters after optimizer steps. */
  parameters: 1e-3,
  losses: 1e-5,
  /** Starting values and tokens must be the same. */
  equal: 0,
} as const;

/** Some gradients are zero in exact arithmetic; their rounding noise is measured against all gradients together. */
const ZERO_GRADIENT = 1e-5;

/**
 * Key biases of encoders shift all scores of a query alike, which softmax does not see: their gradient is what rounding
 * leaves of a sum that the weight's gradient has too. Both float32 engines are this noisy.
 */
const ZERO_BIAS = 0.1;

export type Numbers = ArrayLike<number>;

export interface Comparison {
  /** `base gradients`, `lora logits` … */
  readonly what: string;
  /** Names in the reference file that were compared. */
  readonly names: readonly string[];
  /** The largest relative error among them and where it is. */
  readonly error: number;
  readonly worst: string;
  readonly tolerance: number;
  readonly pass: boolean;
}

export interface Pair {
  readonly name: string;
  readonly got: Numbers;
  readonly reference: Numbers;
}

/**
 * `isGradient`: errors are relative to max(‖reference‖, 1e-5 · ‖all references together‖), those of a bias also to a tenth
 * of its weight's ‖reference‖.
 */
export function compare(
  what: string,
  pairs: readonly Pair[],
  tolerance: number,
  { isGradient = false } = {},
): Comparison {
  assert(pairs.length > 0, `${what}: nothing to compare`);
  const floorOf = isGradient ? gradientFloors(pairs) : () => 0;
  const errors = pairs.map((pair) => ({ name: pair.name, error: relativeError(pair, floorOf(pair)) }));
  const worst = errors.reduce((a, b) => (b.error > a.error || Number.isNaN(b.error) ? b : a));
  return {
    what,
    names: pairs.map(({ name }) => name),
    error: worst.error,
    worst: worst.name,
    tolerance,
    pass: worst.error <= tolerance,
  };
}

function gradientFloors(pairs: readonly Pair[]): (pair: Pair) => number {
  const norms = new Map(pairs.map(({ name, reference }) => [name, norm(reference)]));
  const zero = ZERO_GRADIENT * Math.hypot(...norms.values());
  return ({ name }) => {
    const weight = name.endsWith('.bias') ? norms.get(name.replace(/bias$/, 'weight')) : undefined;
    return Math.max(zero, ZERO_BIAS * (weight ?? 0));
  };
}

/** ‖got − reference‖ / max(‖reference‖, floor); infinite when the sizes differ. */
export function relativeError({ got, reference }: Pair, floor = 0): number {
  if (got.length !== reference.length) return Number.POSITIVE_INFINITY;
  let sum = 0;
  for (let i = 0; i < got.length; i++) sum += (got[i]! - reference[i]!) ** 2;
  const difference = Math.sqrt(sum);
  return difference === 0 ? 0 : difference / Math.max(norm(reference), floor);
}

function norm(values: Numbers): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]! ** 2;
  return Math.sqrt(sum);
}

/** Token sequences: the error is the share of differing positions. */
export function compareTokens(what: string, pairs: readonly Pair[]): Comparison {
  const errors = pairs.map(({ name, got, reference }) => {
    const length = Math.max(got.length, reference.length);
    let wrong = 0;
    for (let i = 0; i < length; i++) wrong += got[i] === reference[i] ? 0 : 1;
    return { name, error: wrong / Math.max(1, length) };
  });
  const worst = errors.reduce((a, b) => (b.error > a.error ? b : a));
  const names = pairs.map(({ name }) => name);
  return { what, names, error: worst.error, worst: worst.name, tolerance: 0, pass: worst.error === 0 };
}

export interface VerifyReport {
  readonly folder: string;
  /** `model_type` of the base. */
  readonly architecture: string;
  readonly comparisons: readonly Comparison[];
  /** Kinds of comparison that the folder holds no reference for. */
  readonly absent: readonly string[];
  /** References (a gradient, a parameter) that nothing of ours corresponds to. */
  readonly unmatched: readonly string[];
  /** Other tensors of the file, of no known meaning. */
  readonly ignored: readonly string[];
  /** Every comparison within its tolerance, and no reference unmatched. */
  readonly pass: boolean;
}
