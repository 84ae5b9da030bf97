/**
 * Dense linear algebra in float64 for rules of the server: singular values with fixed signs, products of factors without
 * their dense matrix. Deterministic. It knows no methods and no tensors' names.
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

/** ‖B A‖_F; where that is less work without the product, the square root of ⟨B A, B A⟩. */
export function productNorm(b: Matrix, a: Matrix): number {
  if (b.columns * (b.rows + a.columns) > 2 * b.rows * a.columns) return b.mmul(a).norm('frobenius');
  const [columns, rows] = [columnsOf(b), rowsOf(a)];
  let sum = 0;
  for (let i = 0; i < rows.length; i++)
    for (let j = i; j < rows.length; j++)
      sum += (i === j ? 1 : 2) * dot(columns[i]!, columns[j]!) * dot(rows[i]!, rows[j]!);
  return Math.sqrt(Math.max(0, sum));
}

/** ⟨B A, D C⟩ = Σ_ij (Bᵀ D)_ij (A Cᵀ)_ij, without the products. */
export function productInner(b: Matrix, a: Matrix, d: Matrix, c: Matrix): number {
  const [left, right] = [columnsOf(b), columnsOf(d)];
  const [top, bottom] = [rowsOf(a), rowsOf(c)];
  let sum = 0;
  for (let i = 0; i < top.length; i++)
    for (let j = 0; j < bottom.length; j++) sum += dot(left[i]!, right[j]!) * dot(top[i]!, bottom[j]!);
  return sum;
}

/** All ⟨B_i A_i, B_j A_j⟩ without the products: O(r² (E + D)) for each pair. */
export function productGram(factors: readonly { readonly b: Matrix; readonly a: Matrix }[]): number[][] {
  const split = factors.map(({ b, a }) => ({ left: columnsOf(b), right: rowsOf(a) }));
  const gram = split.map(() => new Array<number>(split.length).fill(0));
  for (const [i, one] of split.entries())
    for (const [j, other] of split.slice(0, i + 1).entries()) {
      let sum = 0;
      for (let p = 0; p < one.left.length; p++)
        for (let q = 0; q < other.left.length; q++)
          sum += dot(one.left[p]!, other.left[q]!) * dot(one.right[p]!, other.right[q]!);
      gram[i]![j] = sum;
      gram[j]![i] = sum;
    }
  return gram;
}

function rowsOf(matrix: Matrix): Float64Array[] {
  return Array.from({ length: matrix.rows }, (_, i) => Float64Array.from(matrix.getRow(i)));
}

function columnsOf(matrix: Matrix): Float64Array[] {
  return Array.from({ length: matrix.columns }, (_, j) => Float64Array.from(matrix.getColumn(j)));
}

/** Four sums side by side: one would wait for itself. */
function dot(x: Float64Array, y: Float64Array): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
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
