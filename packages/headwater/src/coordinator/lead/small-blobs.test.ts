import { describe, expect, it } from 'vitest';
import { createSmallBlobs } from './small-blobs.ts';

const MIB = 2 ** 20;

function reading() {
  const asked: string[] = [];
  const get = async (digest: string) => {
    asked.push(digest);
    if (digest === 'broken') throw new Error('the disk is broken');
    return new TextEncoder().encode(digest);
  };
  return { asked, small: createSmallBlobs({ get }) };
}

describe('small blobs', () => {
  it('are read once for all who ask', async () => {
    const { asked, small } = reading();
    const all = await Promise.all(Array.from({ length: 100 }, () => small.read('a', 1)));
    expect(new Set(all).size).toBe(1);
    expect(asked).toEqual(['a']);
  });

  it('a large one is not kept', () => {
    const { asked, small } = reading();
    expect(small.read('large', 4 * MIB + 1)).toBeUndefined();
    expect(asked).toEqual([]);
  });

  it('few are kept: memory does not grow with the rounds', async () => {
    const { asked, small } = reading();
    for (const digest of ['a', 'b', 'c', 'd', 'e', 'e', 'b', 'a']) await small.read(digest, MIB);
    expect(asked).toEqual(['a', 'b', 'c', 'd', 'e', 'a']);
  });

  it('what could not be read is read again', async () => {
    const { asked, small } = reading();
    await expect(small.read('broken', 1)).rejects.toThrow('the disk is broken');
    await expect(small.read('broken', 1)).rejects.toThrow('the disk is broken');
    expect(asked).toHaveLength(2);
  });
});
