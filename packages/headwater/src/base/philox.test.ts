import { describe, expect, it } from 'vitest';
import { type PhiloxCounter, type PhiloxKey, philox } from './philox.ts';

/** Known answers of Random123 1.14 (kat_vectors, philox4x32 10), made again with a program of its own in Python. */
const KNOWN: readonly (readonly [PhiloxCounter, PhiloxKey, string])[] = [
  [[0, 0, 0, 0], [0, 0], '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
  [
    [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    [0xffffffff, 0xffffffff],
    '408f276d 41c83b0e a20bc7c6 6d5451fd',
  ],
  [
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    'd16cfe09 94fdcceb 5001e420 24126ea1',
  ],
];

describe('Philox 4×32-10', () => {
  it.each(KNOWN)('counter %o, key %o: the known words', (counter, key, words) => {
    const out = new Uint32Array(6);
    philox(out, 1, counter, key);
    expect([...out.subarray(1, 5)].map((word) => word.toString(16).padStart(8, '0')).join(' ')).toBe(words);
    expect([out[0], out[5]]).toEqual([0, 0]);
  });
});
