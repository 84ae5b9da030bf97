import { describe, expect, it } from 'vitest';
import { rng } from '../base/random.ts';
import { firstColumns, Matrix, numericalRank, scaleColumns, svd, svdOfProduct } from './linear-algebra.ts';

function random(rows: number, columns: number, seed: string): Matrix {
  const stream = rng(seed);
  return Matrix.from1DArray(
    rows,
    columns,
    Array.from({ length: rows * columns }, () => stream.normal()),
  );
}

const product = ({ u, s, v }: ReturnType<typeof svd>) => scaleColumns(u, s).mmul(v.transpose());
const apart = (a: Matrix, b: Matrix) => Matrix.sub(a, b).norm('frobenius');

describe('the SVD of a product of factors', () => {
  it.each([
    ['tall factors', 9, 3, 7],
    ['more columns than rows on one side', 4, 6, 9],
    ['more than on both sides', 3, 8, 5],
    ['one', 6, 1, 4],
  ])('is that of the dense product, signs included: %s', (_, rows, inner, columns) => {
    const [b, a] = [random(rows, inner, 'b'), random(inner, columns, 'a')];
    const [found, dense] = [svdOfProduct(b, a), svd(b.mmul(a))];
    const rank = Math.min(rows, inner, columns);
    expect(apart(product(found), b.mmul(a))).toBeLessThan(1e-12);
    for (let j = 0; j < rank; j++) expect(found.s[j]!).toBeCloseTo(dense.s[j]!, 12);
    expect(apart(firstColumns(found.u, rank), firstColumns(dense.u, rank))).toBeLessThan(1e-10);
    expect(apart(firstColumns(found.v, rank), firstColumns(dense.v, rank))).toBeLessThan(1e-10);
  });

  it('falls, has orthonormal columns, and its largest entries of U are positive', () => {
    const { u, s, v } = svdOfProduct(random(8, 4, 'b'), random(4, 6, 'a'));
    expect([...s].sort((x, y) => y - x)).toEqual([...s]);
    expect(apart(u.transpose().mmul(u), Matrix.eye(s.length))).toBeLessThan(1e-12);
    expect(apart(v.transpose().mmul(v), Matrix.eye(s.length))).toBeLessThan(1e-12);
    for (let j = 0; j < s.length; j++) {
      const column = u.getColumn(j);
      const largest = column.reduce((x, y) => (Math.abs(y) > Math.abs(x) ? y : x), 0);
      expect(largest).toBeGreaterThan(0);
    }
  });

  it('of nothing is nothing', () => {
    const { s } = svdOfProduct(Matrix.zeros(5, 2), random(2, 4, 'a'));
    expect([...s]).toEqual([0, 0]);
    expect(numericalRank(s)).toBe(0);
  });
});
