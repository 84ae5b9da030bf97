/**
 * A durable log of JSON values over a Disk, one file of frames: what `append` has answered survives any crash, what it has
 * not is there whole or not at all. It does not know what the values mean.
 */

import type { Disk, DiskFile } from './disk.ts';
import { isMissing } from './disk-failures.ts';
import { makeDurableFolder, within } from './disk-paths.ts';
import { runCorrupt } from './failures.ts';
import { decodeFrames, encodeFrame } from './frames.ts';

export interface Log {
  bytes(): number;
  /** Durable when it resolves. Throws STORAGE_FAILED; the value then is not in the log, unless a crash follows at once. */
  append(value: unknown): Promise<void>;
  /**
   * Replaces everything by one value that says the same in fewer bytes. False, with the log as it was, when the disk
   * would not have it: that costs space only.
   */
  rewrite(value: unknown): Promise<boolean>;
  close(): Promise<void>;
}

/** Opens or makes the log; `replay` is given each value in order. Throws RUN_CORRUPT, STORAGE_FAILED. */
export async function openLog(
  disk: Disk,
  folder: string,
  where: string,
  replay: (value: unknown) => void,
): Promise<Log> {
  const path = within(folder, 'store.log');
  const temporary = within(folder, 'store.log.tmp');
  await makeDurableFolder(disk, folder);
  const { values, end, damaged } = decodeFrames(await contentOf(disk, path));
  if (damaged)
    throw runCorrupt(`the log is damaged behind entry ${values.length} (byte ${end}), before its end`, where);
  for (const value of values) replay(value);
  const log = logOver(disk, { folder, path, temporary, where }, end);
  await log.settle();
  return log;
}

async function contentOf(disk: Disk, path: string): Promise<Uint8Array> {
  try {
    return await disk.read(path);
  } catch (error) {
    if (isMissing(error)) return new Uint8Array();
    throw error;
  }
}

interface Places {
  readonly folder: string;
  readonly path: string;
  readonly temporary: string;
  readonly where: string;
}

function logOver(
  disk: Disk,
  { folder, path, temporary, where }: Places,
  opened: number,
): Log & { settle(): Promise<void> } {
  /** Bytes that count; behind them may lie what a failed write or a crash left. */
  let end = opened;
  let file: DiskFile | undefined;
  /** The file ends at `end`, and its bytes and its name are durable. */
  let settled = false;

  /** Also after a failure of the disk: nothing is appended behind bytes of which we do not know what became. */
  async function settle(): Promise<DiskFile> {
    if (file !== undefined && settled) return file;
    file ??= await disk.open(path, 'write');
    if (((await disk.stat(path))?.bytes ?? 0) < end)
      throw runCorrupt(`the log has fewer than the ${end} bytes that were written to it`, where);
    await disk.truncate(path, end);
    await file.sync();
    await disk.syncFolder(folder);
    settled = true;
    return file;
  }

  async function append(value: unknown): Promise<void> {
    const frame = encodeFrame(value);
    const open = await settle();
    settled = false;
    await open.write(frame, end);
    await open.sync();
    settled = true;
    end += frame.byteLength;
  }

  async function rewrite(value: unknown): Promise<boolean> {
    const frame = encodeFrame(value);
    try {
      await disk.remove(temporary);
      await writeWhole(disk, temporary, frame);
    } catch {
      await disk.remove(temporary).catch(() => undefined);
      return false;
    }
    await closeFile();
    settled = false;
    try {
      await disk.rename(temporary, path);
    } catch {
      return false;
    }
    end = frame.byteLength;
    // A failure here is met by the next append, which settles first.
    await settle().catch(() => undefined);
    return true;
  }

  async function closeFile(): Promise<void> {
    const open = file;
    file = undefined;
    await open?.close().catch(() => undefined);
  }

  return {
    bytes: () => end,
    append,
    rewrite,
    close: closeFile,
    settle: async () => {
      await settle();
    },
  };
}

async function writeWhole(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const file = await disk.open(path, 'write');
  try {
    await file.write(bytes, 0);
    await file.sync();
  } finally {
    await file.close();
  }
}
