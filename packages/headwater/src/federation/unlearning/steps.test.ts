import { describe, expect, it } from 'vitest';
import { rng } from '../../base/random.ts';
import { type Params, tensor } from '../../base/tensor.ts';
import { differenceOf, l2Norm, weightedSum } from '../params.ts';
import { calibrated, npoWeight, projected, withoutPart } from './steps.ts';

const random = rng('unlearning');
const draw = (size = 6): Params =>
  new Map([
    [
      'a',
      tensor(
        'float32',
        [size],
        Float32Array.from({ length: size }, () => random.normal()),
      ),
    ],
    [
      'b',
      tensor(
        'float32',
        [2],
        Float32Array.from({ length: 2 }, () => random.normal()),
      ),
    ],
  ]);
const values = (params: Params) => [...params.values()].flatMap(({ data }) => [...data]);

describe('arithmetic of unlearning', () => {
  it('a calibrated step has the old length and the new direction, tensor by tensor', () => {
    const [old, fresh] = [draw(), draw()];
    const step = calibrated(old, fresh);
    for (const name of ['a', 'b']) {
      const one = (params: Params) => new Map([[name, params.get(name)!]]);
      expect(l2Norm(one(step))).toBeCloseTo(l2Norm(one(old)), 5);
      const ratio = step.get(name)!.data.map((x, i) => x / fresh.get(name)!.data[i]!);
      for (const r of ratio) expect(r).toBeCloseTo(ratio[0]!, 5);
    }
    const still = new Map(
      [...fresh].map(([name, { shape, data }]) => [
        name,
        tensor(
          'float32',
          shape,
          data.map(() => 0),
        ),
      ]),
    );
    expect(l2Norm(calibrated(old, still))).toBe(0);
  });

  it('a ball keeps what is inside and takes the rest to its edge', () => {
    const [centre, far] = [draw(), draw()];
    const distance = l2Norm(differenceOf(far, centre));
    expect(projected(far, centre, 2 * distance)).toBe(far);
    const edge = projected(far, centre, distance / 4);
    expect(l2Norm(differenceOf(edge, centre))).toBeCloseTo(distance / 4, 5);
  });

  it('NPO begins as gradient ascent, is it for β → 0, and lets go of what is forgotten', () => {
    expect(npoWeight(0, 3)).toBe(1);
    expect(npoWeight(-50, 1e-9)).toBeCloseTo(1, 6);
    expect(npoWeight(-50, 1)).toBeLessThan(1e-20);
    // −(2/β) log σ(−β x) at x = 0 is 2 ln 2 / β, and its derivative the weight.
    const loss = (x: number, beta: number) => (2 / beta) * Math.log1p(Math.exp(beta * x));
    expect(loss(0, 0.5)).toBeCloseTo((2 * Math.LN2) / 0.5, 12);
    expect((loss(0.7 + 1e-6, 2) - loss(0.7 - 1e-6, 2)) / 2e-6).toBeCloseTo(npoWeight(0.7, 2), 6);
  });

  it('a mean without one of its parts is the mean of the others', () => {
    const parts = [draw(), draw(), draw()];
    const shares = [0.2, 0.3, 0.5];
    const mean = weightedSum(parts.map((params, i) => ({ params, factor: shares[i]! })));
    const others = weightedSum([
      { params: parts[1]!, factor: 0.3 / 0.8 },
      { params: parts[2]!, factor: 0.5 / 0.8 },
    ]);
    const left = values(withoutPart(mean, parts[0]!, 0.2));
    for (const [i, x] of values(others).entries()) expect(left[i]).toBeCloseTo(x, 5);
  });
});
