/**
 * Brings an update to the coordinator in chunks: sends what is not there yet, each chunk with its own digest, compressed
 * where that pays. May be repeated from the start at any time.
 */

import { LIMITS, type UploadResponse } from '../federation/wire/messages.ts';
import type { BytesBody } from './api.ts';
import { notAsAgreed, refusalCode } from './failures.ts';
import { digestOf, portableHasher } from './hashing.ts';
import type { ClientParts } from './ports.ts';
import { persist } from './retry.ts';
import { ask, type Session } from './session.ts';

/** 80 GB in chunks of the usual size: whoever wants more wants to keep us busy. */
const MAX_CHUNKS = 10_000;

export interface Upload {
  readonly digest: string;
  readonly bytes: Uint8Array;
  readonly taskId: string;
}

export async function upload(session: Session, { digest, bytes, taskId }: Upload): Promise<void> {
  const { parts, caller, run, signal } = session;
  const total = bytes.byteLength;
  const plan = await ask(session, 'openUpload', { body: { digest, bytes: total, taskId } });
  const { chunkBytes, missing } = missingChunks(plan, total);
  let doneBytes =
    total - missing.reduce((sum, index) => sum + chunkAt(bytes, index, chunkBytes).byteLength, 0);
  let compress = parts.compress;
  const put = (index: number, body: BytesBody) =>
    persist(parts, signal, () => caller.json('putChunk', { params: { run, digest, index }, body }, signal));
  for (const index of missing) {
    const chunk = chunkAt(bytes, index, chunkBytes);
    // Of an update in one chunk the digest is known already.
    const known = chunk.byteLength === total ? digest : undefined;
    const body = await bodyOf(session, chunk, compress, known);
    await put(index, body).catch((failure) => {
      if (refusalCode(failure) !== 'encoding-refused') throw failure;
      compress = undefined;
      return put(index, { ...body, sent: chunk, encoding: undefined });
    });
    doneBytes += chunk.byteLength;
    parts.onEvent({ type: 'uploading', doneBytes, totalBytes: total });
  }
}

function chunkAt(bytes: Uint8Array, index: number, chunkBytes: number): Uint8Array {
  return bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes);
}

function missingChunks(
  { chunkBytes, have }: UploadResponse,
  total: number,
): { readonly chunkBytes: number; readonly missing: number[] } {
  const count = Math.ceil(total / chunkBytes);
  if (chunkBytes > LIMITS.chunkBytes || count > MAX_CHUNKS)
    throw notAsAgreed(`${total} bytes in chunks of ${chunkBytes}`);
  const there = new Set(have);
  const missing = Array.from({ length: count }, (_, index) => index).filter((index) => !there.has(index));
  return { chunkBytes, missing };
}

async function bodyOf(
  { parts }: Session,
  chunk: Uint8Array,
  compress: ClientParts['compress'],
  known: string | undefined,
): Promise<BytesBody> {
  const digest = known ?? digestOf(parts.hasher ?? portableHasher, chunk);
  const smaller = await compress?.(chunk);
  if (smaller === undefined) return { sent: chunk, digest, encoding: undefined };
  return { sent: smaller.bytes, digest, encoding: smaller.encoding };
}
