/**
 * Vectors as affine combinations of a few base points whose mutual distances are known: the updates of a round, zero, and what
 * a rule brings beside them. Rules that only look at distances need nothing else, whatever space these were measured in. It
 * knows no tensors and no rule.
 */

/** Coefficients of the base points; their sum is 1. */
export type Combination = Float64Array;

export interface Geometry {
  /** Base points: the updates come first. */
  readonly size: number;
  /** Which of them is zero. */
  readonly zero: number;
  /** ‖p_i − p_j‖², row by row. */
  readonly squares: Float64Array;
}

/** The base point itself. */
export function basePoint({ size }: Geometry, index: number): Combination {
  const point = new Float64Array(size);
  point[index] = 1;
  return point;
}

/**
 * ‖a − b‖² = −½ Σ_ij δ_i δ_j ‖p_i − p_j‖² with δ = a − b, whose sum is 0. Only differences enter: far points that δ leaves out do
 * not blur it.
 */
export function squaredDistance({ size, squares }: Geometry, a: Combination, b: Combination): number {
  const used: number[] = [];
  for (let i = 0; i < size; i++) if (a[i] !== b[i]) used.push(i);
  let sum = 0;
  for (let x = 1; x < used.length; x++) {
    const i = used[x]!;
    let row = 0;
    for (let y = 0; y < x; y++) row += (a[used[y]!]! - b[used[y]!]!) * squares[i * size + used[y]!]!;
    sum -= (a[i]! - b[i]!) * row;
  }
  return Math.max(0, sum);
}

export function distance(geometry: Geometry, a: Combination, b: Combination): number {
  return Math.sqrt(squaredDistance(geometry, a, b));
}

/** ‖a‖ */
export function normOf(geometry: Geometry, a: Combination): number {
  return distance(geometry, a, basePoint(geometry, geometry.zero));
}

/** ⟨a, b⟩ = ½ (‖a‖² + ‖b‖² − ‖a − b‖²) */
export function inner(geometry: Geometry, a: Combination, b: Combination): number {
  const zero = basePoint(geometry, geometry.zero);
  const squared = (x: Combination, y: Combination) => squaredDistance(geometry, x, y);
  return (squared(a, zero) + squared(b, zero) - squared(a, b)) / 2;
}

/** ⟨a, b⟩ / ‖a‖ ‖b‖; 0 where one of them is zero. */
export function cosine(geometry: Geometry, a: Combination, b: Combination): number {
  const norms = normOf(geometry, a) * normOf(geometry, b);
  return norms === 0 ? 0 : inner(geometry, a, b) / norms;
}

/** All ‖a_i − a_j‖², as rows. */
export function squaredDistances(geometry: Geometry, points: readonly Combination[]): number[][] {
  const rows = points.map(() => new Array<number>(points.length).fill(0));
  for (let i = 0; i < points.length; i++)
    for (let j = 0; j < i; j++) {
      const squared = squaredDistance(geometry, points[i]!, points[j]!);
      rows[i]![j] = squared;
      rows[j]![i] = squared;
    }
  return rows;
}

/** Σ w_i a_i for weights of sum 1; what is missing to 1 is zero’s. */
export function mixed(
  geometry: Geometry,
  points: readonly Combination[],
  weights: ArrayLike<number>,
): Combination {
  const mix = new Float64Array(geometry.size);
  let rest = 1;
  for (const [i, point] of points.entries()) {
    rest -= weights[i]!;
    for (let j = 0; j < mix.length; j++) mix[j]! += weights[i]! * point[j]!;
  }
  // Rounding of the weights’ sum is not worth a part of anything.
  if (Math.abs(rest) > 1e-12) mix[geometry.zero]! += rest;
  return mix;
}

export function meanOf(geometry: Geometry, points: readonly Combination[]): Combination {
  return mixed(geometry, points, new Array<number>(points.length).fill(1 / points.length));
}

/** factor · a. */
export function shrunk(geometry: Geometry, point: Combination, factor: number): Combination {
  return factor === 1 ? point : mixed(geometry, [point], [factor]);
}

/** Positions in ascending order of value; of equals the first comes first. */
export function ascending(values: readonly number[]): number[] {
  return values.map((_, i) => i).sort((a, b) => values[a]! - values[b]! || a - b);
}
