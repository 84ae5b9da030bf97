import { describe, expect, it } from 'vitest';
import { memoryBlobs } from '../../storage/memory-blobs.ts';
import { createGarbage } from './garbage.ts';

const bytes = new Uint8Array([1, 2, 3]);

describe('garbage', () => {
  it('goes only when nobody needs it and nobody is about to', async () => {
    const blobs = memoryBlobs();
    const live = new Set<string>();
    const garbage = createGarbage(
      blobs,
      (digest) => !live.has(digest),
      () => undefined,
    );
    const digest = await blobs.put(bytes);
    live.add(digest);
    await garbage.collect([digest]);
    expect(await blobs.has(digest)).toBe(true);
    live.delete(digest);
    const [one, two] = [await garbage.pin(digest), await garbage.pin(digest)];
    await garbage.collect([digest]);
    one();
    one();
    await garbage.collect([digest]);
    expect(await blobs.has(digest)).toBe(true);
    two();
    await garbage.collect([digest, digest]);
    expect(await blobs.has(digest)).toBe(false);
  });

  it('who pins while it is being deleted waits, and then knows whether it is there', async () => {
    const blobs = memoryBlobs();
    let release = () => {};
    const slow = {
      delete: (digest: string) =>
        new Promise<void>((resolve) => {
          release = () => resolve(blobs.delete(digest));
        }),
    };
    const garbage = createGarbage(
      slow,
      () => true,
      () => undefined,
    );
    const digest = await blobs.put(bytes);
    const collected = garbage.collect([digest]);
    let pinned = false;
    const pin = garbage.pin(digest).then(() => {
      pinned = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(pinned).toBe(false);
    release();
    await Promise.all([collected, pin]);
    expect(await blobs.has(digest)).toBe(false);
  });
});
