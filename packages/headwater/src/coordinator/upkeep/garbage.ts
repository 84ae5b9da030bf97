/**
 * Deletes blobs that no run needs any more, and never one that somebody is about to need: whoever makes a blob pins its
 * digest until an event refers to it. (Equal bytes are one blob: an update may be what another round has just given up.)
 */

import type { Blobs } from '../../storage/blobs.ts';

export interface Garbage {
  /** Waits for a deletion under way; the digest is safe until it is released. */
  pin(digest: string): Promise<() => void>;
  /** Deletes those that are neither live nor pinned. */
  collect(digests: Iterable<string>): Promise<void>;
}

/** `mayDelete`: whether nobody needs this digest; false when in doubt. */
export function createGarbage(
  blobs: Pick<Blobs, 'delete'>,
  mayDelete: (digest: string) => boolean,
  onFailed: (cause: unknown) => void,
): Garbage {
  const pins = new Map<string, number>();
  const deleting = new Map<string, Promise<void>>();

  async function collectOne(digest: string): Promise<void> {
    if (pins.has(digest) || deleting.has(digest) || !mayDelete(digest)) return;
    const deletion = blobs
      .delete(digest)
      .catch(onFailed)
      .finally(() => deleting.delete(digest));
    deleting.set(digest, deletion);
    await deletion;
  }

  return {
    async pin(digest) {
      pins.set(digest, (pins.get(digest) ?? 0) + 1);
      await deleting.get(digest);
      let released = false;
      return () => {
        if (released) return;
        released = true;
        const left = (pins.get(digest) ?? 1) - 1;
        if (left === 0) pins.delete(digest);
        else pins.set(digest, left);
      };
    },
    async collect(digests) {
      for (const digest of new Set(digests)) await collectOne(digest);
    },
  };
}
