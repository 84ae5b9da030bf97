import { describe, expect, it } from 'vitest';
import { rng } from '../base/random.ts';
import { Matrix, plus, tensorOf } from './linear-algebra.ts';
import {
  distanceTo,
  outerGram,
  outerNorm,
  outerOf,
  outerOfTensors,
  outerTimes,
  together,
} from './outer-products.ts';

function random(rows: number, columns: number, seed: string): Matrix {
  const stream = rng(seed);
  const values = Array.from({ length: rows * columns }, () => Math.fround(stream.normal()));
  return Matrix.from1DArray(rows, columns, values);
}

describe.each([
  ['by inner products', 9, 4, 6],
  ['by elements, because the stack is wide', 5, 11, 7],
  ['of one', 6, 1, 5],
])('sums of outer products %s: [%i, %i] times %i columns', (_, rows, inner, columns) => {
  const [b, a] = [random(rows, inner, 'b'), random(inner, columns, 'a')];
  const [d, c] = [random(rows, 3, 'd'), random(3, columns, 'c')];
  const [m, n] = [b.mmul(a), d.mmul(c)];
  const [one, other] = [outerOf(b, a), outerOf(d, c)];
  const inProduct = (x: Matrix, y: Matrix) => Matrix.mul(x, y).sum();

  it('norms and inner products are those of the dense matrices', () => {
    expect(outerNorm(one)).toBeCloseTo(m.norm('frobenius'), 10);
    const [first, second] = outerGram([one, other]) as [number[], number[]];
    expect(first[0]).toBeCloseTo(inProduct(m, m), 9);
    expect(
      [first[1], second[0]].map((value) => value! - inProduct(m, n)).every((x) => Math.abs(x) < 1e-9),
    ).toBe(true);
    expect(second[1]).toBeCloseTo(inProduct(n, n), 9);
  });

  it('sums and multiples are those of the dense matrices, with a whole matrix added too', () => {
    const sum = plus(m, n, -2.5);
    const made = together([one, outerTimes(other, -2.5)]);
    expect(outerNorm(made)).toBeCloseTo(sum.norm('frobenius'), 9);
    const whole = random(rows, columns, 'whole');
    expect(distanceTo(made, whole)).toBeCloseTo(plus(sum, whole).norm('frobenius'), 9);
  });

  it('tensors and matrices give the same vectors', () => {
    expect(outerOfTensors(tensorOf(b), tensorOf(a))).toEqual(one);
  });
});
