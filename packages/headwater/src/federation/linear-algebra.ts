/**
 * Dense linear algebra in float64 for rules of the server: singular values with fixed signs, also of products without their
 * dense matrix. Deterministic. It knows no methods and no tensors' names.
 */

import { EigenvalueDecomposition, Matrix, QrDecomposition, SingularValueDecomposition } from 'ml-matrix';
import { type Tensor, tensor } from '../base/tensor.ts';

export { Matrix, solve } from 'ml-matrix';

/** M [E, D] = U diag(s) Vᵀ; U [E, n] and V [D, n] with orthonormal columns, s falling, n = min(E, D) or less. */
export interface Svd {
  readonly u: Matrix;
  readonly s: readonly number[];
  readonly v: Matrix;
}

/** A tensor [E, D], row by row. */
export function matrixOf({ shape, data }: Pick<Tensor<'float32'>, 'shape' | 'data'>): Matrix {
  const [rows, columns] = shape as [number, number];
  return Matrix.from1DArray(rows, columns, data);
}

export function tensorOf(matrix: Matrix): Tensor<'float32'> {
  return tensor('float32', [matrix.rows, matrix.columns], Float32Array.from(matrix.to1DArray()));
}

/** M + factor · N. Several times faster than ml-matrix’s own, which copies element by element through an iterator. */
export function plus(matrix: Matrix, other: Matrix, factor = 1): Matrix {
  const sum = new Matrix(matrix.rows, matrix.columns);
  for (let i = 0; i < matrix.rows; i++)
    for (let j = 0; j < matrix.columns; j++) sum.set(i, j, matrix.get(i, j) + factor * other.get(i, j));
  return sum;
}

/** factor · M. */
export function times(matrix: Matrix, factor: number): Matrix {
  const product = new Matrix(matrix.rows, matrix.columns);
  for (let i = 0; i < matrix.rows; i++)
    for (let j = 0; j < matrix.columns; j++) product.set(i, j, factor * matrix.get(i, j));
  return product;
}

/** [M₁ | M₂ | …]; all have the same rows. */
export function beside(matrices: readonly Matrix[]): Matrix {
  const columns = matrices.reduce((sum, matrix) => sum + matrix.columns, 0);
  const all = new Matrix(matrices[0]!.rows, columns);
  let at = 0;
  for (const matrix of matrices) {
    all.setSubMatrix(matrix, 0, at);
    at += matrix.columns;
  }
  return all;
}

/** M₁ above M₂ above …; all have the same columns. */
export function stacked(matrices: readonly Matrix[]): Matrix {
  const rows = matrices.reduce((sum, matrix) => sum + matrix.rows, 0);
  const all = new Matrix(rows, matrices[0]!.columns);
  let at = 0;
  for (const matrix of matrices) {
    all.setSubMatrix(matrix, at, 0);
    at += matrix.rows;
  }
  return all;
}

/** The first `count` rows, or all where there are fewer. */
export function firstRows(matrix: Matrix, count: number): Matrix {
  if (count >= matrix.rows) return matrix;
  return matrix.subMatrix(0, count - 1, 0, matrix.columns - 1);
}

export function firstColumns(matrix: Matrix, count: number): Matrix {
  if (count >= matrix.columns) return matrix;
  return matrix.subMatrix(0, matrix.rows - 1, 0, count - 1);
}

/** With columns of zeros to the right. */
export function withColumns(matrix: Matrix, columns: number): Matrix {
  return Matrix.zeros(matrix.rows, columns).setSubMatrix(matrix, 0, 0);
}

/** The largest element in magnitude of each column of U is positive, the first of equals. */
export function svd(matrix: Matrix): Svd {
  const found = new SingularValueDecomposition(matrix, { autoTranspose: true });
  return withFixedSigns({
    u: found.leftSingularVectors,
    s: found.diagonal,
    v: found.rightSingularVectors,
  });
}

/**
 * The SVD of B A, B [E, n] and A [n, D]. Where n is the smallest, without the matrix [E, D]: QR(B) = Q_B R_B,
 * QR(Aᵀ) = Q_A R_A, and the SVD of the core R_B R_Aᵀ = U S Vᵀ gives (Q_B U) S (Q_A V)ᵀ, at O(n² (E + D + n)).
 */
export function svdOfProduct(b: Matrix, a: Matrix): Svd {
  if (b.columns >= Math.min(b.rows, a.columns)) return svd(b.mmul(a));
  const left = thinQr(b);
  const right = thinQr(a.transpose());
  const { u, s, v } = svd(left.r.mmul(right.r.transpose()));
  return withFixedSigns({ u: left.q.mmul(u), s, v: right.q.mmul(v) });
}

/** The eigenvector of a symmetric matrix’s largest eigenvalue, of length 1 and any sign. */
export function symmetricLeading(rows: readonly (readonly number[])[]): readonly number[] {
  const matrix = new Matrix(rows.map((row) => [...row]));
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(matrix, {
    assumeSymmetric: true,
  });
  const largest = realEigenvalues.reduce((best, value, i) => (value > realEigenvalues[best]! ? i : best), 0);
  return eigenvectorMatrix.getColumn(largest);
}

/** Scales column j by factors[j]. */
export function scaleColumns(matrix: Matrix, factors: readonly number[]): Matrix {
  return matrix.clone().mulRowVector([...factors]);
}

/** Singular values that are not rounding: s_j > s_1 · n · 2⁻⁵². */
export function numericalRank(s: readonly number[]): number {
  const threshold = (s[0] ?? 0) * s.length * 2 ** -52;
  return s.filter((value) => value > threshold).length;
}

function thinQr(matrix: Matrix): { readonly q: Matrix; readonly r: Matrix } {
  // A wide matrix is its own R.
  if (matrix.columns >= matrix.rows) return { q: Matrix.eye(matrix.rows), r: matrix };
  const { orthogonalMatrix, upperTriangularMatrix } = new QrDecomposition(matrix);
  return { q: orthogonalMatrix, r: upperTriangularMatrix };
}

/** The largest element in magnitude of each column of U becomes positive. */
export function withFixedSigns({ u, s, v }: Svd): Svd {
  const signs = s.map((_, column) => {
    let largest = 0;
    for (let row = 0; row < u.rows; row++)
      if (Math.abs(u.get(row, column)) > Math.abs(largest)) largest = u.get(row, column);
    return largest < 0 ? -1 : 1;
  });
  return { u: scaleColumns(u, signs), s, v: scaleColumns(v, signs) };
}
