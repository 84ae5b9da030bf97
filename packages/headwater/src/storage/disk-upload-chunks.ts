/** How a chunk gets into the file of its upload: whole and checked, or not at all, also when it is sent twice at once. */

import { createHash, type Hash } from 'node:crypto';
import type { Disk, DiskFile } from './disk.ts';
import { BLOCK_BYTES, writeStream } from './disk-pieces.ts';
import { type Attempt, appendFrame, type Upload } from './disk-upload-files.ts';
import type { InTurn } from './in-turn.ts';
import { chunkLength, isDigest, uploadInvalid, uploadUnknown } from './upload-plan.ts';

export interface ArrivingChunk {
  readonly index: number;
  readonly digest: string;
  readonly source: AsyncIterable<Uint8Array>;
}

export async function receiveChunk(
  disk: Disk,
  turn: InTurn,
  upload: Upload,
  chunk: ArrivingChunk,
): Promise<void> {
  const { index, digest } = chunk;
  const { key } = upload.plan;
  chunkLength(upload.plan, index);
  if (!isDigest(digest)) throw uploadInvalid(key, `chunk ${index}: "${digest}" is no SHA-256`);
  if (!upload.chunks.has(index)) await attemptTo(disk, turn, upload, chunk);
  const there = upload.chunks.get(index);
  if (there !== digest)
    throw uploadInvalid(key, `chunk ${index} is there already, with other bytes: SHA-256 ${there}`);
}

/** The last attempt writes; earlier ones stop writing and wait for it. */
async function attemptTo(disk: Disk, turn: InTurn, upload: Upload, chunk: ArrivingChunk): Promise<void> {
  const earlier = upload.attempts.get(chunk.index);
  const attempt: Attempt = {
    later: undefined,
    writing: earlier?.writing ?? Promise.resolve(),
    outcome: Promise.resolve(),
  };
  if (earlier !== undefined) earlier.later = attempt;
  upload.attempts.set(chunk.index, attempt);
  attempt.outcome = write(disk, turn, upload, chunk, attempt);
  try {
    await attempt.outcome;
  } catch (error) {
    if (attempt.later === undefined) throw error;
    await attempt.later.outcome;
  } finally {
    if (upload.attempts.get(chunk.index) === attempt) upload.attempts.delete(chunk.index);
  }
}

async function write(
  disk: Disk,
  turn: InTurn,
  upload: Upload,
  { index, digest, source }: ArrivingChunk,
  attempt: Attempt,
): Promise<void> {
  const { key } = upload.plan;
  await attempt.writing.catch(() => undefined);
  const file = await turn(key, async () => {
    if (upload.gone) throw uploadUnknown(key);
    return disk.open(upload.dataPath, 'write');
  });
  // The hash of the first chunk is the beginning of the whole's: its bytes are not hashed twice.
  const hash = createHash('sha256');
  const whole = upload.running.next !== index ? undefined : index === 0 ? hash : upload.running.hash.copy();
  try {
    await writeChecked(file, upload, { index, digest, source }, attempt, { chunk: hash, whole });
  } finally {
    await file.close();
  }
  await turn(key, () => enlist(disk, upload, index, digest, attempt, whole));
}

async function writeChecked(
  file: DiskFile,
  upload: Upload,
  { index, digest, source }: ArrivingChunk,
  attempt: Attempt,
  hashes: { readonly chunk: Hash; readonly whole: Hash | undefined },
): Promise<void> {
  const { key, chunkBytes } = upload.plan;
  const length = chunkLength(upload.plan, index);
  let received = 0;
  const see = (piece: Uint8Array) => {
    received += piece.byteLength;
    if (received > length) throw uploadInvalid(key, `chunk ${index} has more than ${length} bytes`);
    hashes.chunk.update(piece);
    if (hashes.whole !== hashes.chunk) hashes.whole?.update(piece);
  };
  const writeOwn: DiskFile['write'] = (bytes, offset) => {
    stopIfSuperseded(attempt);
    attempt.writing = file.write(bytes, offset);
    return attempt.writing;
  };
  await writeStream(writeOwn, index * chunkBytes, source, see, Math.min(BLOCK_BYTES, length));
  if (received !== length)
    throw uploadInvalid(key, `chunk ${index} has ${received} bytes, expected ${length}`);
  const found = hashes.chunk.copy().digest('hex');
  if (found !== digest)
    throw uploadInvalid(key, `chunk ${index} has SHA-256 ${found}, announced was ${digest}`);
}

function stopIfSuperseded(attempt: Attempt): void {
  if (attempt.later !== undefined) throw new Error('a later attempt writes this chunk');
}

async function enlist(
  disk: Disk,
  upload: Upload,
  index: number,
  digest: string,
  attempt: Attempt,
  whole: Hash | undefined,
): Promise<void> {
  if (upload.gone) throw uploadUnknown(upload.plan.key);
  stopIfSuperseded(attempt);
  // Before anything is awaited: from here on no other attempt may write over these bytes.
  upload.chunks.set(index, digest);
  try {
    await appendFrame(disk, upload.listPath, { index, digest });
  } catch (error) {
    upload.chunks.delete(index);
    throw error;
  }
  if (whole !== undefined && upload.running.next === index) upload.running = { hash: whole, next: index + 1 };
}
