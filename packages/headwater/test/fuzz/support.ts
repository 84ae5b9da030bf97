/** What every fuzz target shares: a fixed seed and a bounded number of runs, mutations, the check for pollution. */

import fc from 'fast-check';
import { expect } from 'vitest';

/** Bounded by number; the time limit ends a target on a slow machine without failing it. */
export const PARAMETERS = {
  seed: 20261,
  numRuns: 1000,
  interruptAfterTimeLimit: 10_000,
  markInterruptAsFailure: false,
};

/** Nothing that a parser read may have changed what plain objects are. */
export function expectUnpolluted(): void {
  const probe = {} as Record<string, unknown>;
  expect(probe.polluted).toBeUndefined();
  expect(Object.keys(Object.prototype)).toEqual([]);
  expect(Object.getPrototypeOf(probe)).toBe(Object.prototype);
}

/** One of the seeds with a few bytes flipped, cut out, repeated, inserted, or the end torn off. */
export function mutatedBytes(seeds: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const mutation = fc.record({
    kind: fc.constantFrom('flip', 'set', 'cut', 'insert', 'repeat', 'truncate' as const),
    at: fc.nat(1_000_000),
    length: fc.nat(16),
    byte: fc.oneof(
      fc.nat(255),
      fc.constantFrom(...[...'{}[]",:\\0-9eE._/ \n\0'].map((char) => char.charCodeAt(0))),
    ),
  });
  return fc
    .tuple(fc.constantFrom(...seeds), fc.array(mutation, { minLength: 1, maxLength: 6 }))
    .map(([seed, mutations]) => mutations.reduce(mutated, seed));
}

function mutated(
  bytes: Uint8Array,
  { kind, at, length, byte }: { kind: string; at: number; length: number; byte: number },
): Uint8Array {
  if (bytes.length === 0) return bytes;
  const where = at % bytes.length;
  const [head, tail] = [bytes.subarray(0, where), bytes.subarray(where)];
  switch (kind) {
    case 'flip': {
      const copy = bytes.slice();
      copy[where] = copy[where]! ^ (1 << (byte % 8));
      return copy;
    }
    case 'set': {
      const copy = bytes.slice();
      copy[where] = byte;
      return copy;
    }
    case 'cut':
      return Buffer.concat([head, tail.subarray(length)]);
    case 'insert':
      return Buffer.concat([head, new Uint8Array(1 + length).fill(byte), tail]);
    case 'repeat':
      return Buffer.concat([head, tail.subarray(0, length), tail]);
    default:
      return head;
  }
}
