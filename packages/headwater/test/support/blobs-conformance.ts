/** What every Blobs store must do, run on each implementation by its own test file. */

import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Blobs } from '../../src/storage/blobs.ts';

export function blobsConformance(name: string, open: () => Promise<Blobs>): void {
  const bytes = (text: string) => new TextEncoder().encode(text);

  describe(`blobs contract: ${name}`, () => {
    it('the name of a blob is the SHA-256 of its bytes', async () => {
      const blobs = await open();
      // FIPS 180-2, appendix B.1
      expect(await blobs.put(bytes('abc'))).toBe(
        'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
      );
    });

    it('bytes come back exactly, also none at all', async () => {
      const blobs = await open();
      for (const content of [bytes(''), bytes('x'), new Uint8Array(100_000).map((_, i) => i * 31)]) {
        const digest = await blobs.put(content);
        expect(Buffer.from(await blobs.get(digest)).equals(content)).toBe(true);
        expect(await blobs.has(digest)).toBe(true);
      }
    });

    it('putting the same bytes twice, even at once, stores them once', async () => {
      const blobs = await open();
      const digests = await Promise.all([1, 2, 3, 4].map(() => blobs.put(bytes('same'))));
      expect(new Set(digests).size).toBe(1);
      expect(await blobs.list()).toEqual([digests[0]]);
    });

    it('later changes of the caller’s buffer change nothing', async () => {
      const blobs = await open();
      const content = bytes('abc');
      const digest = await blobs.put(content);
      content[0] = 0;
      expect(
        createHash('sha256')
          .update(await blobs.get(digest))
          .digest('hex'),
      ).toBe(digest);
    });

    it('a missing blob is RUN_CORRUPT', async () => {
      const blobs = await open();
      const digest = '0'.repeat(64);
      expect(await blobs.has(digest)).toBe(false);
      await expect(blobs.get(digest)).rejects.toMatchObject({ code: 'RUN_CORRUPT' });
    });

    it('a deleted blob is gone, deleting again is fine', async () => {
      const blobs = await open();
      const digest = await blobs.put(bytes('abc'));
      await blobs.delete(digest);
      await blobs.delete(digest);
      expect(await blobs.has(digest)).toBe(false);
      expect(await blobs.list()).toEqual([]);
    });

    it('list names everything, sorted', async () => {
      const blobs = await open();
      const digests = await Promise.all(['a', 'b', 'c', 'd'].map((text) => blobs.put(bytes(text))));
      expect(await blobs.list()).toEqual(digests.sort());
    });
  });
}
