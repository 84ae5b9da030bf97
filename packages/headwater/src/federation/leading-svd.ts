/**
 * The largest singular values of a matrix with their vectors, without the others: subspace iteration from a seeded start
 * (Halko, Martinsson & Tropp 2011, SIAM Review 53, algorithms 4.4 and 5.1). Float64, deterministic. It knows no methods.
 */

import { rng } from '../base/random.ts';
import { firstColumns, Matrix, type Svd, svd, withFixedSigns } from './linear-algebra.ts';

/** Columns beyond those asked for, and passes over the matrix: what they do not find is far below the rounding of float32. */
const OVERSAMPLING = 10;
const PASSES = 8;

/** U [E, k], s, V [D, k] of M [E, D], k = min(count, E, D). */
export function leadingSvd(matrix: Matrix, count: number): Svd {
  const smaller = Math.min(matrix.rows, matrix.columns);
  const width = count + OVERSAMPLING;
  const found = 2 * width >= smaller ? svd(matrix) : iterated(matrix, width);
  const kept = Math.min(count, smaller);
  return { u: firstColumns(found.u, kept), s: found.s.slice(0, kept), v: firstColumns(found.v, kept) };
}

function iterated(matrix: Matrix, width: number): Svd {
  const transposed = matrix.transpose();
  const random = rng('leading-svd');
  const start = Matrix.zeros(matrix.columns, width);
  for (let row = 0; row < start.rows; row++)
    for (let column = 0; column < width; column++) start.set(row, column, random.normal());
  let q = orthonormal(matrix.mmul(start));
  for (let pass = 1; pass < PASSES; pass++) q = orthonormal(matrix.mmul(orthonormal(transposed.mmul(q))));
  const core = svd(q.transpose().mmul(matrix));
  return withFixedSigns({ u: q.mmul(core.u), s: core.s, v: core.v });
}

/** Columns that span the same space, by Gram–Schmidt in two rounds. */
export function orthonormal(matrix: Matrix): Matrix {
  const columns = matrix.transpose().to2DArray();
  const found: number[][] = [];
  for (const column of columns) {
    for (const before of [...found, ...found]) subtract(column, before, dot(column, before));
    const length = Math.sqrt(dot(column, column));
    found.push(length === 0 ? column : column.map((x) => x / length));
  }
  return new Matrix(found).transpose();
}

function dot(a: readonly number[], b: readonly number[]): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function subtract(from: number[], vector: readonly number[], factor: number): void {
  for (let i = 0; i < from.length; i++) from[i]! -= factor * vector[i]!;
}
