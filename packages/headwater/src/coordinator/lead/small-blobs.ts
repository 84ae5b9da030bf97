/**
 * Small blobs that a whole cohort asks for at the same moment (the params of a light model) are read once and kept for a
 * while. It decides nothing about who may read what.
 */

import type { Blobs } from '../../storage/blobs.ts';

export interface SmallBlobs {
  /** Its bytes, read at most once at a time; undefined when it is too large to be kept. Throws what the storage throws. */
  read(digest: string, bytes: number): Promise<Uint8Array> | undefined;
}

const MAX_BYTES = 2 ** 22;
const MAX_KEPT = 4;

export function createSmallBlobs(blobs: Pick<Blobs, 'get'>): SmallBlobs {
  const kept = new Map<string, Promise<Uint8Array>>();
  return {
    read(digest, bytes) {
      if (bytes > MAX_BYTES) return undefined;
      const known = kept.get(digest);
      if (known !== undefined) return known;
      const reading = blobs.get(digest);
      kept.set(digest, reading);
      reading.catch(() => kept.delete(digest));
      if (kept.size > MAX_KEPT) kept.delete(kept.keys().next().value!);
      return reading;
    },
  };
}
