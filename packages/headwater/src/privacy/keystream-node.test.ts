import { describe, expect, it } from 'vitest';
import { gaussianSource } from './gaussian.ts';
import { keystreamWords } from './keystream-node.ts';

const hexOf = (words: () => number) => {
  const bytes = Buffer.alloc(16);
  for (let at = 0; at < 16; at += 4) bytes.writeUInt32LE(words(), at);
  return bytes.toString('hex');
};

describe('words from a secret key', () => {
  it('are the AES-256 keystream: the block of zeros under the key of zeros', () => {
    expect(hexOf(keystreamWords(new Uint8Array(32), 0))).toBe('dc95c078a2408989ad48a21492842087');
  });

  it('are the same again, others for another key or stream, also behind the first piece', () => {
    const key = Uint8Array.from({ length: 32 }, (_, i) => i);
    const take = (words: () => number) => Array.from({ length: 20_000 }, words);
    const first = take(keystreamWords(key, 0));
    expect(take(keystreamWords(key, 0))).toEqual(first);
    const other = take(keystreamWords(key, 1));
    expect(other.filter((word, i) => word === first[i]).length).toBeLessThan(3);
    expect(new Set(first).size).toBeGreaterThan(19_990);
    expect(() => keystreamWords(key.subarray(1), 0)).toThrow('31 bytes');
  });

  it('make normals of the right spread', () => {
    const normal = gaussianSource(keystreamWords(new Uint8Array(32).fill(9), 0));
    const samples = Array.from({ length: 200_000 }, normal);
    const variance = samples.reduce((sum, x) => sum + x * x, 0) / samples.length;
    expect(Math.abs(variance - 1)).toBeLessThan(0.02);
  });
});
