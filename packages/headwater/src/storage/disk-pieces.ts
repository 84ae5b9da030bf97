/** Moves bytes between streams and files in blocks of 1 MiB. It knows no names and no digests. */

import { BLOCK_BYTES, giveBlock, takeBlock } from './block-memory.ts';
import type { DiskFile } from './disk.ts';

/**
 * Writes what the source gives from `offset` on. Pieces are gathered to blocks, and a block is written while the next one
 * arrives; `onPiece` sees each piece before it is written (hashing, limits) and may throw. Nothing is written after return.
 */
export async function writeStream(
  write: DiskFile['write'],
  offset: number,
  source: AsyncIterable<Uint8Array>,
  onPiece: (piece: Uint8Array) => void,
  blockBytes = BLOCK_BYTES,
): Promise<void> {
  // Memory for a block, and for one more when there is one more.
  let block: Uint8Array | undefined;
  let other: Uint8Array | undefined;
  let [used, at] = [0, offset];
  let writing: Promise<void> = Promise.resolve();

  async function send(full: Uint8Array): Promise<void> {
    await writing;
    writing = write(full.subarray(0, used), at);
    // A failure is met at the next await; until then it has an owner.
    writing.catch(() => undefined);
    at += used;
    used = 0;
    [block, other] = [other, full];
  }

  try {
    for await (const piece of source) {
      onPiece(piece);
      for (let from = 0; from < piece.byteLength; ) {
        const taken = Math.min(blockBytes - used, piece.byteLength - from);
        block ??= takeBlock();
        block.set(piece.subarray(from, from + taken), used);
        used += taken;
        from += taken;
        if (used === blockBytes) await send(block);
      }
    }
    if (used > 0) await send(block!);
    await writing;
  } finally {
    await writing.catch(() => undefined);
    giveBlock(block);
    giveBlock(other);
  }
}

/** The bytes from `begin` to `end` in blocks; it ends early where the file ends. `memory`: for every other block each. */
export async function* readBlocks(
  file: DiskFile,
  begin: number,
  end: number,
  memory: readonly [Uint8Array, Uint8Array] | readonly [] = [],
): AsyncGenerator<Uint8Array> {
  let [into, other] = memory;
  for (let at = begin; at < end; ) {
    const block = await file.read(at, Math.min(BLOCK_BYTES, end - at), into);
    if (block.byteLength === 0) return;
    at += block.byteLength;
    yield block;
    [into, other] = [other, into];
  }
}
