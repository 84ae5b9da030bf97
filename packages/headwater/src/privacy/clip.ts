/**
 * Clipping of a vector that lies in several arrays (the tensors of an update) to an L2 norm: flat, over all of them together.
 * Plain arrays; it knows no clients and no rounds.
 */

type Values = Float32Array | Float64Array;

/** √Σx² in float64. Scaled by the largest magnitude where squares would leave float64's range. NaN and ∞ are given back. */
export function euclideanNorm(arrays: Iterable<Values>): number {
  const all = [...arrays];
  const squares = sumOfSquares(all, 1);
  if (squares > 1e-200 && squares < 1e300) return Math.sqrt(squares);
  const largest = largestMagnitude(all);
  if (largest === 0 || !Number.isFinite(largest)) return largest;
  return largest * Math.sqrt(sumOfSquares(all, largest));
}

/** min(1, C / ‖u‖₂): 1 for the zero vector, and for one without a finite norm, which is nothing that can be clipped. */
export function clipFactor(norm: number, limit: number): number {
  return norm > limit && Number.isFinite(norm) ? limit / norm : 1;
}

export interface Clipped {
  /** The given arrays themselves where nothing had to be changed. */
  readonly arrays: readonly Float32Array[];
  /** ‖u‖₂ before. */
  readonly norm: number;
}

/** How much less than C / ‖u‖ a factor is at first, when rounding to float32 made the vector longer than C again. */
const FIRST_SHRINK = 2 ** -26;

/** u · min(1, C / ‖u‖₂), rounded to float32 so that the norm of what is given is never above C. */
export function clippedToNorm(arrays: readonly Float32Array[], limit: number): Clipped {
  const norm = euclideanNorm(arrays);
  if (clipFactor(norm, limit) === 1) return { arrays, norm };
  for (let shrink = 0; ; shrink = shrink === 0 ? FIRST_SHRINK : 2 * shrink) {
    const factor = (limit / norm) * (1 - shrink);
    const clipped = arrays.map((values) => values.map((x) => factor * x));
    if (euclideanNorm(clipped) <= limit) return { arrays: clipped, norm };
  }
}

function sumOfSquares(arrays: readonly Values[], scale: number): number {
  let sum = 0;
  for (const values of arrays)
    for (let i = 0; i < values.length; i++) {
      const x = values[i]! / scale;
      sum += x * x;
    }
  return sum;
}

function largestMagnitude(arrays: readonly Values[]): number {
  let largest = 0;
  for (const values of arrays)
    for (let i = 0; i < values.length; i++) {
      const x = Math.abs(values[i]!);
      if (Number.isNaN(x)) return Number.NaN;
      if (x > largest) largest = x;
    }
  return largest;
}
