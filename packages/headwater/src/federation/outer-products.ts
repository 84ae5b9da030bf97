/**
 * Matrices of low rank as sums of outer products, M = B A = Σ_j b_j a_jᵀ: columns of B beside rows of A, in float64. Norms and
 * inner products cost O(n² (E + D)) and make no dense matrix. It knows no rule and no tensors' names.
 */

import type { Matrix } from 'ml-matrix';
import type { Tensor } from '../base/tensor.ts';

/** Of M [E, D]: `columns` are n vectors of length E, `rows` n of length D. */
export interface OuterSum {
  readonly columns: readonly Float64Array[];
  readonly rows: readonly Float64Array[];
}

/** Of factors as they travel: a [n, D], b [E, n]. */
export function outerOfTensors(
  b: Pick<Tensor<'float32'>, 'shape' | 'data'>,
  a: Pick<Tensor<'float32'>, 'shape' | 'data'>,
): OuterSum {
  const [outFeatures, rank] = b.shape as [number, number];
  const [, inFeatures] = a.shape as [number, number];
  const columns = vectors(rank, outFeatures);
  for (let i = 0, at = 0; i < outFeatures; i++)
    for (let j = 0; j < rank; j++, at++) columns[j]![i] = b.data[at]!;
  const rows = Array.from({ length: rank }, (_, j) =>
    Float64Array.from(a.data.subarray(j * inFeatures, (j + 1) * inFeatures)),
  );
  return { columns, rows };
}

export function outerOf(b: Matrix, a: Matrix): OuterSum {
  const columns = vectors(b.columns, b.rows);
  const rows = vectors(a.rows, a.columns);
  for (let j = 0; j < b.columns; j++) for (let i = 0; i < b.rows; i++) columns[j]![i] = b.get(i, j);
  for (let j = 0; j < a.rows; j++) for (let i = 0; i < a.columns; i++) rows[j]![i] = a.get(j, i);
  return { columns, rows };
}

/** M + N; nothing is copied. */
export function together(sums: readonly OuterSum[]): OuterSum {
  return {
    columns: sums.flatMap(({ columns }) => columns),
    rows: sums.flatMap(({ rows }) => rows),
  };
}

/** factor · M. */
export function outerTimes({ columns, rows }: OuterSum, factor: number): OuterSum {
  return { columns: columns.map((column) => column.map((value) => factor * value)), rows };
}

/** ‖M‖_F. */
export function outerNorm(sum: OuterSum): number {
  return Math.sqrt(Math.max(0, outerGram([sum])[0]![0]!));
}

/** All ⟨M_i, M_j⟩, by inner products of vectors; where that is less work, from the elements. */
export function outerGram(sums: readonly OuterSum[]): number[][] {
  const { columns, rows } = together(sums);
  const [outFeatures, inFeatures] = [columns[0]?.length ?? 0, rows[0]?.length ?? 0];
  if (columns.length * (outFeatures + inFeatures) > 2 * outFeatures * inFeatures) return gramOfElements(sums);
  const even = sums.map(withEvenCount);
  const gram = emptyGram(sums.length);
  for (let i = 0; i < even.length; i++)
    for (let j = 0; j <= i; j++) put(gram, i, j, i === j ? square(even[i]!) : inner(even[i]!, even[j]!));
  return gram;
}

/** ‖M + N‖_F, N a whole matrix of the same shape. */
export function distanceTo(sum: OuterSum, other: Matrix): number {
  const row = new Float64Array(other.columns);
  let squares = 0;
  for (let i = 0; i < other.rows; i++) {
    for (let j = 0; j < row.length; j++) row[j] = other.get(i, j);
    addRow(row, sum, i);
    squares += dot(row, row);
  }
  return Math.sqrt(squares);
}

/** Row after row in the same room: no M_i is ever whole. */
function gramOfElements(sums: readonly OuterSum[]): number[][] {
  const gram = emptyGram(sums.length);
  const rows = sums.map(({ rows }) => new Float64Array(rows[0]!.length));
  for (let at = 0; at < sums[0]!.columns[0]!.length; at++) {
    for (const [i, sum] of sums.entries()) addRow(rows[i]!.fill(0), sum, at);
    for (let i = 0; i < rows.length; i++)
      for (let j = 0; j <= i; j++) put(gram, i, j, gram[i]![j]! + dot(rows[i]!, rows[j]!));
  }
  return gram;
}

function emptyGram(size: number): number[][] {
  return Array.from({ length: size }, () => new Array<number>(size).fill(0));
}

function put(gram: number[][], i: number, j: number, value: number): void {
  gram[i]![j] = value;
  gram[j]![i] = value;
}

/** Row i of M, four outer products at a time: the sum is read and written a quarter as often. */
function addRow(sum: Float64Array, { columns, rows }: OuterSum, i: number): void {
  const whole = rows.length - (rows.length % 4);
  for (let j = 0; j < whole; j += 4) {
    const a0 = rows[j]!;
    const a1 = rows[j + 1]!;
    const a2 = rows[j + 2]!;
    const a3 = rows[j + 3]!;
    const b0 = columns[j]![i]!;
    const b1 = columns[j + 1]![i]!;
    const b2 = columns[j + 2]![i]!;
    const b3 = columns[j + 3]![i]!;
    for (let k = 0; k < sum.length; k++) sum[k]! += b0 * a0[k]! + b1 * a1[k]! + b2 * a2[k]! + b3 * a3[k]!;
  }
  for (let j = whole; j < rows.length; j++) {
    const [a, b] = [rows[j]!, columns[j]![i]!];
    for (let k = 0; k < sum.length; k++) sum[k]! += b * a[k]!;
  }
}

/** Vectors are taken by twos: a zero beside the last one. */
function withEvenCount(sum: OuterSum): OuterSum {
  const { columns, rows } = sum;
  if (rows.length % 2 === 0) return sum;
  const zero = (like: Float64Array) => new Float64Array(like.length);
  return { columns: [...columns, zero(columns[0]!)], rows: [...rows, zero(rows[0]!)] };
}

/** ⟨M, M⟩: pairs of pairs off the diagonal count twice. */
function square({ columns, rows }: OuterSum): number {
  let sum = 0;
  for (let i = 0; i < rows.length; i += 2)
    for (let j = i; j < rows.length; j += 2)
      sum += (i === j ? 1 : 2) * ofPairs(columns, rows, i, columns, rows, j);
  return sum;
}

/** ⟨M, N⟩ = Σ_ij ⟨b_i, d_j⟩ ⟨a_i, c_j⟩. */
function inner(one: OuterSum, other: OuterSum): number {
  let sum = 0;
  for (let i = 0; i < one.rows.length; i += 2)
    for (let j = 0; j < other.rows.length; j += 2)
      sum += ofPairs(one.columns, one.rows, i, other.columns, other.rows, j);
  return sum;
}

const left = new Float64Array(4);
const right = new Float64Array(4);

/** Of the outer products i, i + 1 of one and j, j + 1 of the other. */
function ofPairs(
  b: readonly Float64Array[],
  a: readonly Float64Array[],
  i: number,
  d: readonly Float64Array[],
  c: readonly Float64Array[],
  j: number,
): number {
  fourDots(b[i]!, b[i + 1]!, d[j]!, d[j + 1]!, left);
  fourDots(a[i]!, a[i + 1]!, c[j]!, c[j + 1]!, right);
  return left[0]! * right[0]! + left[1]! * right[1]! + left[2]! * right[2]! + left[3]! * right[3]!;
}

/** Four values read for four products; the four sums do not wait for each other. */
function fourDots(
  x0: Float64Array,
  x1: Float64Array,
  y0: Float64Array,
  y1: Float64Array,
  out: Float64Array,
): void {
  let s00 = 0;
  let s01 = 0;
  let s10 = 0;
  let s11 = 0;
  for (let k = 0; k < x0.length; k++) {
    const u0 = x0[k]!;
    const u1 = x1[k]!;
    const v0 = y0[k]!;
    const v1 = y1[k]!;
    s00 += u0 * v0;
    s01 += u0 * v1;
    s10 += u1 * v0;
    s11 += u1 * v1;
  }
  out[0] = s00;
  out[1] = s01;
  out[2] = s10;
  out[3] = s11;
}

/** Four sums side by side: one would wait for itself. */
function dot(x: Float64Array, y: Float64Array): number {
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  const whole = x.length - (x.length % 4);
  for (let i = 0; i < whole; i += 4) {
    s0 += x[i]! * y[i]!;
    s1 += x[i + 1]! * y[i + 1]!;
    s2 += x[i + 2]! * y[i + 2]!;
    s3 += x[i + 3]! * y[i + 3]!;
  }
  for (let i = whole; i < x.length; i++) s0 += x[i]! * y[i]!;
  return s0 + s1 + (s2 + s3);
}

function vectors(count: number, length: number): Float64Array[] {
  return Array.from({ length: count }, () => new Float64Array(length));
}
