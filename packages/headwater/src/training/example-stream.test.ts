import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { exampleStream } from './example-stream.ts';

describe('the example stream', () => {
  it('shows every example once an epoch, whatever the step sizes', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 30 }),
        fc.array(fc.integer({ min: 1, max: 12 }), { maxLength: 40 }),
        (n, sizes) => {
          const stream = exampleStream(n, ['s']);
          const seen = sizes.flatMap((size) => {
            const taken = stream.take(size);
            expect(taken.length).toBe(Math.min(size, n));
            return taken;
          });
          for (let epoch = 0; (epoch + 1) * n <= seen.length; epoch++)
            expect(new Set(seen.slice(epoch * n, (epoch + 1) * n)).size).toBe(n);
        },
      ),
      { seed: 1 },
    );
  });

  it('depends on the seed and reshuffles each epoch', () => {
    const order = (seed: string, epochs: number) => {
      const stream = exampleStream(20, [seed]);
      return Array.from({ length: epochs }, () => stream.take(20).join());
    };
    expect(order('a', 2)).toEqual(order('a', 2));
    expect(order('a', 1)).not.toEqual(order('b', 1));
    expect(new Set(order('a', 3)).size).toBe(3);
  });
});
