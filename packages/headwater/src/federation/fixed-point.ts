/**
 * Exact weighted sums of updates. Every coordinate becomes an integer,
 *
 *   q = roundHalfEven(clamp(x, −range, range) · 2^f),     S = Σ w_i · q_i,     mean = S / (W₀ · 2^f),
 *
 * with W₀ = Σ w⁰_i over the fresh weights (w_i ≤ w⁰_i; they are equal unless an update is stale and counts less: FedBuff),
 * and S is accumulated in float64, which is exact while Σ w_i · |q_i| < 2^53. The plan guarantees that bound before any
 * client works: |q| ≤ Q = range · 2^f, so W = Σ w_i ≤ ⌊(2^53 − 1) / Q⌋ suffices, and then every partial sum, in any order and
 * grouping, is an integer below 2^53 that float64 holds exactly. Rounding half to even is deterministic and unbiased on
 * ties; |q/2^f − x| ≤ 2^−(f+1) for unclamped x, hence the same bound for the mean. It knows no rounds and no clients.
 */

import { assert, HeadwaterError } from '../base/errors.ts';
import { type Params, sizeOf, type Tensor, tensor } from '../base/tensor.ts';
import type { ReleaseReport } from './client-privacy.ts';

/** Scale of one tensor: multiples of 2^−fractionBits within ±range. */
export interface TensorScale {
  readonly name: string;
  readonly shape: readonly number[];
  readonly fractionBits: number;
  readonly range: number;
}

export interface FixedPointPlan {
  /** Sorted by name. */
  readonly tensors: readonly TensorScale[];
  /** Largest W that cannot overflow. */
  readonly maxTotalWeight: number;
}

export interface AggregationReport {
  readonly totalWeight: number;
  readonly numUpdates: number;
  /** Coordinates that were outside ±range and were clamped, over all updates. */
  readonly clamped: number;
  readonly coordinates: number;
  /** Largest possible |mean − exact weighted mean| of a coordinate nobody clamped, before float32. */
  readonly quantisationErrorBound: number;
  /** What the method has to say about the round, by name. */
  readonly figures?: Readonly<Record<string, number>>;
  /** What each owner’s update counted, 1 being its part in the mean, by robust rules that tell owners apart. */
  readonly voices?: Readonly<Record<string, number>>;
  /** Groups of masked updates whose means a robust rule was over. */
  readonly groups?: number;
  /** Of rounds with clipping and noise. */
  readonly release?: ReleaseReport;
}

/** A sum of some updates; sums of disjoint groups merge into the sum of all. */
export interface PartialSum {
  totalWeight: number;
  /** What the updates would weigh if all were fresh: the sum is divided by this. */
  freshWeight: number;
  numUpdates: number;
  clamped: number;
  /** Of sums that clip: updates that had to be clipped here, and updates that are as long as they may be. */
  clipping?: { readonly byServer: number; readonly atLimit: number };
  /** Integers below 2^53; only tensors that travelled. */
  readonly sums: Map<string, Float64Array>;
}

/** Rounding below adds 2^52·1.5, exact for |x| ≤ 2^51. */
const MAX_QUANTUM = 2 ** 51;

/** Largest magnitude of a sum in float64. */
const EXACT_LIMIT = 2 ** 53 - 1;

/** `limit`: largest magnitude of a sum. Throws AGGREGATION_OVERFLOW when not even weight 1 fits. */
export function planFixedPoint(
  tensors: readonly { readonly name: string; readonly shape: readonly number[] }[],
  options: { readonly fractionBits: number; readonly range: number },
  limit = EXACT_LIMIT,
): FixedPointPlan {
  const { fractionBits, range } = options;
  const quantum = Math.round(range * 2 ** fractionBits);
  const most = Math.min(MAX_QUANTUM, limit);
  if (!(quantum >= 1 && quantum <= most))
    throw new HeadwaterError(
      'AGGREGATION_OVERFLOW',
      `range ${range} with ${fractionBits} fraction bits needs integers up to ${quantum}, allowed are 1 to ${most === MAX_QUANTUM ? '2^51' : most}`,
      { hint: `Lower federation.fixedPoint.fractionBits or federation.fixedPoint.range.` },
    );
  return {
    tensors: tensors.map(({ name, shape }) => ({ name, shape, fractionBits, range })),
    maxTotalWeight: Math.floor(limit / quantum),
  };
}

export function emptySum(): PartialSum {
  return { totalWeight: 0, freshWeight: 0, numUpdates: 0, clamped: 0, sums: new Map() };
}

/** Adds weight · factor · update to `sum`, in place: memory stays that of one model whatever the number of clients. */
export function addUpdate(
  plan: FixedPointPlan,
  sum: PartialSum,
  update: Params,
  weight: number,
  freshWeight = weight,
  factor = 1,
): void {
  countUpdate(plan, sum, weight, freshWeight);
  for (const scale of plan.tensors) {
    const value = update.get(scale.name);
    if (value !== undefined) addValues(sum, scale, weight, 0, multiplied(value.data, factor));
  }
}

/** In float64: a product that is rounded once, to the plan's grid. */
export function multiplied(values: Float32Array, factor: number): Float32Array | Float64Array {
  return factor === 1 ? values : Float64Array.from(values, (x) => factor * x);
}

/** One more update in the sum; its values come by `addValues`. */
export function countUpdate(
  plan: FixedPointPlan,
  sum: PartialSum,
  weight: number,
  freshWeight: number,
): void {
  assert(Number.isSafeInteger(weight) && weight >= 1, `weight ${weight} is no positive integer`);
  assert(Number.isSafeInteger(freshWeight) && freshWeight >= weight, `${weight} is more than fresh`);
  assert(sum.totalWeight + weight <= plan.maxTotalWeight, 'the weights exceed what the plan allows');
  sum.totalWeight += weight;
  sum.freshWeight += freshWeight;
  sum.numUpdates += 1;
}

/**
 * Adds weight · values to a tensor's elements `begin`, `begin` + 1 …, or to the elements in `indices`. `largest`: no value
 * is larger in magnitude; where it is within the range nothing has to be clamped.
 */
export function addValues(
  sum: PartialSum,
  scale: TensorScale,
  weight: number,
  begin: number,
  values: Float32Array | Float64Array,
  indices?: Int32Array,
  largest = Number.POSITIVE_INFINITY,
): void {
  const all = sumOf(sum, scale);
  if (indices !== undefined) sum.clamped += scatter(all, values, indices, weight, scale);
  else {
    const target = all.subarray(begin, begin + values.length);
    if (largest <= scale.range) accumulate(target, values, weight, scale);
    else sum.clamped += accumulateClamped(target, values, weight, scale);
  }
}

/** Adds `other` to `sum`, in place. */
export function mergeSum(sum: PartialSum, other: PartialSum): void {
  for (const [name, values] of other.sums) {
    const target = sum.sums.get(name);
    if (target === undefined) sum.sums.set(name, values.slice());
    else for (let i = 0; i < target.length; i++) target[i]! += values[i]!;
  }
  addCounts(sum, other);
}

export function addCounts(sum: PartialSum, other: Omit<PartialSum, 'sums'>): void {
  sum.totalWeight += other.totalWeight;
  sum.freshWeight += other.freshWeight;
  sum.numUpdates += other.numUpdates;
  sum.clamped += other.clamped;
}

export interface Mean {
  readonly mean: Params;
  /** ‖mean‖₂ */
  readonly norm: number;
  readonly report: AggregationReport;
}

/** The weighted mean of everything in `sum`, written over it: no further memory is needed, and the sum is gone. */
export function takeMean(plan: FixedPointPlan, sum: PartialSum): Mean {
  // A round whose secret coins drew nobody has a fixed divisor all the same.
  assert(sum.freshWeight > 0, 'there is no mean of no updates');
  const used = plan.tensors.filter(({ name }) => sum.sums.has(name));
  const mean = new Map<string, Tensor<'float32'>>();
  let squares = 0;
  for (const scale of used) {
    const { data, squaresAfter } = divided(sum.sums.get(scale.name)!, sum.freshWeight, scale, squares);
    squares = squaresAfter;
    mean.set(scale.name, tensor('float32', scale.shape, data));
  }
  const perUpdate = used.reduce((count, { shape }) => count + sizeOf(shape), 0);
  const report = {
    totalWeight: sum.totalWeight,
    numUpdates: sum.numUpdates,
    clamped: sum.clamped,
    coordinates: perUpdate * sum.numUpdates,
    quantisationErrorBound: Math.max(0, ...used.map(({ fractionBits }) => 2 ** -(fractionBits + 1))),
  };
  sum.sums.clear();
  return { mean, norm: Math.sqrt(squares), report };
}

/**
 * S / W · 2^−f in float32, over the lower half of the same buffer: element i is written after elements ≤ i were read.
 * Goes on with the sum of squares on the way: another pass would cost as much as the division.
 */
function divided(
  sums: Float64Array,
  weight: number,
  { fractionBits }: TensorScale,
  squares: number,
): { readonly data: Float32Array; readonly squaresAfter: number } {
  const data = new Float32Array(sums.buffer, sums.byteOffset, sums.length);
  const unit = 2 ** -fractionBits;
  let squaresAfter = squares;
  for (let i = 0; i < data.length; i++) {
    // S / W rounds once; the power of two is exact.
    const mean = Math.fround((sums[i]! / weight) * unit);
    squaresAfter += mean * mean;
    data[i] = mean;
  }
  return { data, squaresAfter };
}

/** Integer of one coordinate, for tests and for the secure path that sends integers. */
export function quantise(
  x: number,
  { range, fractionBits }: Pick<TensorScale, 'range' | 'fractionBits'> & Partial<TensorScale>,
): number {
  return roundHalfEven(Math.min(range, Math.max(-range, x)) * 2 ** fractionBits);
}

/** Half the time of the clamping loop. */
function accumulate(
  target: Float64Array,
  data: Float32Array | Float64Array,
  weight: number,
  scale: TensorScale,
): void {
  const factor = 2 ** scale.fractionBits;
  for (let i = 0; i < data.length; i++) target[i]! += weight * roundHalfEven(data[i]! * factor);
}

function accumulateClamped(
  target: Float64Array,
  data: Float32Array | Float64Array,
  weight: number,
  scale: TensorScale,
): number {
  const { range } = scale;
  const factor = 2 ** scale.fractionBits;
  let clamped = 0;
  for (let i = 0; i < data.length; i++) {
    let x = data[i]!;
    if (x > range || x < -range) {
      clamped++;
      x = x > 0 ? range : -range;
    }
    target[i]! += weight * roundHalfEven(x * factor);
  }
  return clamped;
}

function scatter(
  target: Float64Array,
  data: Float32Array | Float64Array,
  indices: Int32Array,
  weight: number,
  scale: TensorScale,
): number {
  let clamped = 0;
  for (let i = 0; i < data.length; i++) {
    if (Math.abs(data[i]!) > scale.range) clamped++;
    target[indices[i]!]! += weight * quantise(data[i]!, scale);
  }
  return clamped;
}

/** The tensor's sums, zero at first. */
export function sumOf(sum: PartialSum, scale: TensorScale): Float64Array {
  const existing = sum.sums.get(scale.name);
  if (existing !== undefined) return existing;
  const created = new Float64Array(sizeOf(scale.shape));
  sum.sums.set(scale.name, created);
  return created;
}

/** Float64 has no bits below 1 at 1.5·2^52, so its own rounding (half to even) does the work. Valid for |x| ≤ 2^51. */
function roundHalfEven(x: number): number {
  const magic = 1.5 * 2 ** 52;
  return x + magic - magic;
}
