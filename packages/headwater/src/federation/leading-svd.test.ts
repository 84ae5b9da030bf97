import { describe, expect, it } from 'vitest';
import { rng } from '../base/random.ts';
import { leadingSvd, orthonormal } from './leading-svd.ts';
import { Matrix, svd } from './linear-algebra.ts';

function randomMatrix(rows: number, columns: number): Matrix {
  const random = rng('leading-svd-test', rows, columns);
  const values = Float64Array.from({ length: rows * columns }, () => random.normal());
  return Matrix.from1DArray(rows, columns, values);
}

describe('the leading singular values', () => {
  it.each([
    [60, 70],
    [90, 50],
  ])(
    'of [%i, %i] with a falling spectrum are those of the whole decomposition, signs included',
    (rows, columns) => {
      const { u, s, v } = svd(randomMatrix(rows, columns));
      const falling = s.map((_, i) => 0.8 ** i);
      const matrix = u.mmul(Matrix.diag(falling)).mmul(v.transpose());
      const found = leadingSvd(matrix, 4);
      const whole = svd(matrix);
      expect([found.u.columns, found.v.columns, found.s.length]).toEqual([4, 4, 4]);
      for (let i = 0; i < 4; i++) {
        expect(found.s[i]).toBeCloseTo(falling[i]!, 10);
        for (let row = 0; row < rows; row++) expect(found.u.get(row, i)).toBeCloseTo(whole.u.get(row, i), 6);
        for (let row = 0; row < columns; row++)
          expect(found.v.get(row, i)).toBeCloseTo(whole.v.get(row, i), 6);
      }
    },
  );

  it('of a small matrix are exact, and no more than there are', () => {
    const found = leadingSvd(randomMatrix(3, 5), 8);
    expect(found.s).toHaveLength(3);
    expect(found.u.columns).toBe(3);
  });

  it('columns become orthonormal and span the same', () => {
    const matrix = randomMatrix(7, 3);
    const q = orthonormal(matrix);
    const gram = q.transpose().mmul(q);
    const rest = Matrix.sub(matrix, q.mmul(q.transpose().mmul(matrix)));
    expect(Matrix.sub(gram, Matrix.eye(3)).norm()).toBeLessThan(1e-12);
    expect(rest.norm()).toBeLessThan(1e-12);
  });
});
