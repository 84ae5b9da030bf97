/** Where blobs lie on a Disk, and how a whole file becomes a blob that survives a power cut. */

import type { Disk } from './disk.ts';
import { within } from './disk-paths.ts';
import { assertDigest } from './upload-plan.ts';

export interface BlobFiles {
  readonly disk: Disk;
  readonly folder: string;
  /** For messages. */
  readonly where: string;
  /** Refuses what is no digest. */
  pathOf(digest: string): string;
  sizeOf(digest: string): Promise<number | undefined>;
  /** Whether the blob is there, durably. One of another size can only be damage from outside: it is not there. */
  isThere(digest: string, bytes: number): Promise<boolean>;
  /** Makes a whole, flushed file the blob, durably. */
  place(from: string, digest: string): Promise<void>;
}

export function blobFiles(disk: Disk, folder: string, where: string): BlobFiles {
  const shardOf = (digest: string) => within(folder, digest.slice(0, 2));
  const durableShards = new Set<string>();

  const pathOf = (digest: string) => {
    assertDigest(digest);
    return within(shardOf(digest), digest);
  };

  /** Both flushes at once: file systems that keep a log then write it once. */
  async function sync(shard: string): Promise<void> {
    const known = durableShards.has(shard);
    await Promise.all([disk.syncFolder(shard), known ? undefined : disk.syncFolder(folder)]);
    durableShards.add(shard);
  }

  return {
    disk,
    folder,
    where,
    pathOf,
    sizeOf: async (digest) => (await disk.stat(pathOf(digest)))?.bytes,
    async isThere(digest, bytes) {
      if ((await disk.stat(pathOf(digest)))?.bytes !== bytes) return false;
      // Somebody renamed it, and perhaps the name is not on the disk yet.
      await sync(shardOf(digest));
      return true;
    },
    async place(from, digest) {
      const shard = shardOf(digest);
      if (!durableShards.has(shard)) await disk.makeFolder(shard);
      await disk.rename(from, pathOf(digest));
      await sync(shard);
    },
  };
}
