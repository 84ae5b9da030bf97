import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digestBytes } from '../base/canonical.ts';
import { bytesOf } from '../base/tensor.ts';
import { addDirection, type DirectionSeed, type Distribution, eachDirectionChunk } from './directions.ts';

const NAME = 'layers.0.lora_A.weight';

function direction(seed: DirectionSeed, name: string, length: number, kind: Distribution): Float32Array {
  const values = new Float32Array(length);
  eachDirectionChunk(seed, name, length, kind, (chunk, begin) => values.set(chunk, begin));
  return values;
}

/** From a program in Python, by the definition in integers: Philox, SHA-256 of the name, four bytes a value. */
const GOLDEN = {
  normal: {
    first: [
      -0.7307144999504089, -0.04059525206685066, -0.9878177642822266, 0.0744246244430542, -1.51555597782135,
      0.8322026133537292,
    ],
    from5000: [-0.5480358600616455, 1.4817266464233398, 0.7374804019927979],
    digest: 'f817784edfea57711cb2ba5a124e85061bf6a984205e37ac7803b7a7a9ce85d2',
  },
  signs: {
    first: [1, -1, 1, 1, -1, -1, 1, -1, -1, -1, -1, 1, -1, -1, 1, 1],
    from5000: [1, -1, -1, 1, 1, 1, 1, -1],
    digest: '91bbd19773d3ee92701eac7616ad90e3432ace1d9797f8d5fa67ebf1726e6fad',
  },
} as const;

describe.each(['normal', 'signs'] as const)('directions of %s', (kind) => {
  it('are the golden bits, also across chunks', () => {
    const { first, from5000, digest } = GOLDEN[kind];
    const values = direction([7, 42], NAME, 5100, kind);
    expect([...values.subarray(0, first.length)]).toEqual(first);
    expect([...values.subarray(5000, 5000 + from5000.length)]).toEqual(from5000);
    expect(digestBytes(bytesOf(direction([4294967295, 0], 'w', 10000, kind)))).toBe(digest);
  });

  it('have mean 0 and covariance I, between elements, names and seeds', () => {
    const n = 200_000;
    const z = direction([1, 2], NAME, n, kind);
    const others = [direction([1, 3], NAME, n, kind), direction([1, 2], 'other', n, kind)];
    const mean = (of: (i: number) => number) =>
      Array.from({ length: n - 1 }, (_, i) => of(i)).reduce((a, b) => a + b) / n;
    // Five standard errors.
    const close = 5 / Math.sqrt(n);
    expect(Math.abs(mean((i) => z[i]!))).toBeLessThan(close);
    expect(Math.abs(mean((i) => z[i]! ** 2) - 1)).toBeLessThan(2 * close);
    expect(Math.abs(mean((i) => z[i]! * z[i + 1]!))).toBeLessThan(close);
    for (const other of others) expect(Math.abs(mean((i) => z[i]! * other[i]!))).toBeLessThan(close);
  });

  it('a shorter tensor of the same name has the first values of a longer one', () => {
    const long = direction([5, 6], NAME, 9000, kind);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9000 }), (length) => {
        expect(direction([5, 6], NAME, length, kind)).toEqual(long.subarray(0, length));
      }),
      { numRuns: 20 },
    );
  });

  it('are added with a factor', () => {
    const target = Float64Array.of(1, 2, 3);
    addDirection(target, -0.5, [7, 42], NAME, kind);
    const [a, b, c] = GOLDEN[kind].first;
    expect([...target]).toEqual([1 - 0.5 * a, 2 - 0.5 * b, 3 - 0.5 * c]);
  });
});
