import { describe, expect, it } from 'vitest';
import { rng } from '../base/random.ts';
import { type Params, tensor } from '../base/tensor.ts';
import { addDirection, type Distribution, drawSeed } from './directions.ts';
import { encodeParams, zerosLike } from './params.ts';
import { displaced, estimatedGradient, replayed, slopeAlong, type Term } from './zeroth-order.ts';

const random = rng('zeroth-order');
const normals = (size: number, stream = random.split('values', size)) =>
  Float32Array.from({ length: size }, () => stream.normal());
const theta: Params = new Map([
  ['a', tensor('float32', [2, 3], normals(6))],
  ['b', tensor('float32', [4], normals(4))],
]);
const curvature = Float64Array.from({ length: 10 }, (_, i) => 0.5 + i / 4);
const everything = () => true;

const flat = (params: Params) => [...params.values()].flatMap(({ data }) => [...data]);
/** ½ Σ c_i (θ_i − 1)². */
const loss = async (params: Params) =>
  flat(params).reduce((sum, x, i) => sum + 0.5 * curvature[i]! * (x - 1) ** 2, 0);
const gradient = flat(theta).map((x, i) => curvature[i]! * (x - 1));

describe.each<Distribution>(['normal', 'signs'])('the estimate along directions of %s', (kind) => {
  it('is unbiased on a quadratic: its mean over seeds comes to the gradient', async () => {
    const stream = random.split('unbiased', kind);
    const directions = Array.from({ length: 10_000 }, () => ({
      seed: drawSeed(stream),
      kind,
      covers: everything,
    }));
    const { grads } = await estimatedGradient(loss, theta, directions, 1e-2);
    const size = Math.hypot(...gradient);
    const error = Math.hypot(...flat(grads).map((x, i) => x - gradient[i]!));
    // √(P + 1) / √N = 3.3 %, doubled.
    expect(error / size).toBeLessThan(0.067);
  });

  it('has the exact slope of a quadratic, whatever ε, and the same for −ε', async () => {
    const direction = { seed: [3, 4] as const, kind, covers: everything };
    const z = flat(displaced(zerosLike(theta), direction, 1));
    const exact = z.reduce((sum, x, i) => sum + x * gradient[i]!, 0);
    for (const epsilon of [1e-3, 1e-2, 0.1])
      expect((await slopeAlong(loss, theta, direction, epsilon)).slope).toBeCloseTo(exact, 2);
    const [ahead, back] = [
      await slopeAlong(loss, theta, direction, 0.1),
      await slopeAlong(loss, theta, direction, -0.1),
    ];
    expect(back).toEqual(ahead);
  });

  it('moves only what it covers and leaves θ as it was, bit for bit', async () => {
    const before = encodeParams(theta);
    const direction = { seed: [3, 4] as const, kind, covers: (name: string) => name === 'b' };
    const { grads } = await estimatedGradient(loss, theta, [direction], 1e-3);
    expect([...grads.keys()]).toEqual(['b']);
    const moved = displaced(theta, direction, 0.5);
    expect(moved.get('a')).toBe(theta.get('a'));
    expect(moved.get('b')!.data).not.toEqual(theta.get('b')!.data);
    expect(encodeParams(theta)).toEqual(before);
  });
});

it('adding and taking away εz in place does not give the same bits back, which is why points are copies', () => {
  const values = normals(10_000);
  const inPlace = values.slice();
  for (const scale of [1e-3, -2e-3, 1e-3]) addDirection(inPlace, scale, [1, 1], 'w', 'normal');
  expect(inPlace.filter((x, i) => x !== values[i]).length).toBeGreaterThan(1000);
});

it('a loss that is no number stops the training', async () => {
  const direction = { seed: [0, 0] as const, kind: 'signs' as const, covers: everything };
  await expect(slopeAlong(async () => Number.NaN, theta, direction, 1e-3)).rejects.toMatchObject({
    code: 'TRAINING_DIVERGED',
  });
});

describe('replay', () => {
  const terms = (count: number): Term[] => {
    const stream = random.split('terms');
    return Array.from({ length: count }, (_, j) => ({ seed: [9, j], scale: 1e-3 * stream.normal() }));
  };
  const base: Params = new Map([['w', tensor('float32', [50], normals(50))]]);

  it('is the trajectory: in float64 to 1e-14, in float32 to the rounding of its steps', () => {
    const steps = terms(200);
    const exact = Float64Array.from(base.get('w')!.data);
    let rounded = base;
    for (const { seed, scale } of steps) {
      addDirection(exact, scale, seed, 'w', 'normal');
      rounded = displaced(rounded, { seed, kind: 'normal', covers: everything }, scale);
    }
    const made = replayed(base, steps, 'normal').get('w')!.data;
    expect([...made]).toEqual([...Float32Array.from(exact)]);
    for (const [i, x] of rounded.get('w')!.data.entries()) expect(Math.abs(x - made[i]!)).toBeLessThan(2e-6);
  });

  it('one half after the other is not the canonical replay, which goes from the base in one go', () => {
    const steps = terms(200);
    const halves = replayed(replayed(base, steps.slice(0, 100), 'normal'), steps.slice(100), 'normal');
    expect(encodeParams(halves)).not.toEqual(encodeParams(replayed(base, steps, 'normal')));
    expect(encodeParams(replayed(base, steps, 'normal'))).toEqual(
      encodeParams(replayed(base, terms(200), 'normal')),
    );
  });

  it('no terms leave the base', () => {
    expect(replayed(base, [{ seed: [1, 1], scale: 0 }], 'signs')).toBe(base);
  });
});
