/**
 * Dense linear algebra in float64 for rules of the server: singular values with fixed signs, products of factors without
 * their dense matrix. Deterministic. It knows no methods and no tensors' names.
 */

import { Matrix, QrDecomposition, SingularValueDecomposition } from 'ml-matrix';
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

/** [M₁ | M₂ | …]. */
export function beside(matrices: readonly Matrix[]): Matrix {
  return stacked(matrices.map((matrix) => matrix.transpose())).transpose();
}

/** M₁ above M₂ above …; all have the same columns. */
export function stacked(matrices: readonly Matrix[]): Matrix {
  return new Matrix(matrices.flatMap((matrix) => matrix.to2DArray()));
}

/** The first `count` rows, or all where there are fewer. */
export function firstRows(matrix: Matrix, count: number): Matrix {
  const rows = Math.min(count, matrix.rows);
  return matrix.subMatrix(0, rows - 1, 0, matrix.columns - 1);
}

export function firstColumns(matrix: Matrix, count: number): Matrix {
  const columns = Math.min(count, matrix.columns);
  return matrix.subMatrix(0, matrix.rows - 1, 0, columns - 1);
}

/** With rows of zeros below. */
export function withRows(matrix: Matrix, rows: number): Matrix {
  return Matrix.zeros(rows, matrix.columns).setSubMatrix(matrix, 0, 0);
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
 * The SVD of B A, B [E, n] and A [n, D], without the matrix [E, D]: QR(B) = Q_B R_B, QR(Aᵀ) = Q_A R_A, and the SVD of the
 * core R_B R_Aᵀ = U S Vᵀ gives (Q_B U) S (Q_A V)ᵀ. Cost O(n² (E + D + n)).
 */
export function svdOfProduct(b: Matrix, a: Matrix): Svd {
  const left = thinQr(b);
  const right = thinQr(a.transpose());
  const { u, s, v } = svd(left.r.mmul(right.r.transpose()));
  return withFixedSigns({ u: left.q.mmul(u), s, v: right.q.mmul(v) });
}

/** ‖B A‖_F = √tr(BᵀB · A Aᵀ), without the product. */
export function productNorm(b: Matrix, a: Matrix): number {
  const left = b.transpose().mmul(b);
  const right = a.mmul(a.transpose());
  return Math.sqrt(Math.max(0, Matrix.mul(left, right).sum()));
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
