/** Moves bytes between streams and files in blocks of a quarter MiB. It knows no names and no digests. */

import type { PieceUse } from './blobs.ts';
import type { DiskFile } from './disk.ts';

/** Large enough that calls do not count, small enough that many streams at once do not keep the garbage collector busy. */
export const BLOCK_BYTES = 2 ** 18;

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
  let block: Buffer | undefined;
  let other: Buffer | undefined;
  let [used, at] = [0, offset];
  let writing: Promise<void> = Promise.resolve();

  async function send(full: Buffer): Promise<void> {
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
        block ??= Buffer.allocUnsafe(blockBytes);
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
  }
}

/**
 * The bytes from `begin` to `end` in blocks; it ends early where the file ends. `lent`: a block's memory serves again after
 * the next one; large files would otherwise keep the collector of garbage busy.
 */
export async function* readBlocks(
  file: DiskFile,
  begin: number,
  end: number,
  use: PieceUse = 'kept',
): AsyncGenerator<Uint8Array> {
  const length = Math.min(BLOCK_BYTES, end - begin);
  let [memory, other] = use === 'lent' ? [new Uint8Array(length), new Uint8Array(length)] : [];
  for (let at = begin; at < end; ) {
    const block = await file.read(at, Math.min(BLOCK_BYTES, end - at), memory);
    if (block.byteLength === 0) return;
    at += block.byteLength;
    yield block;
    [memory, other] = [other, memory];
  }
}
