/**
 * Blobs from the coordinator: goes on behind what is there after every broken connection, never takes more bytes than were
 * agreed, and hands over only what has the right digest.
 */

import { HeadwaterError } from '../base/errors.ts';
import type { WireResponse } from '../federation/wire/transport.ts';
import { notAsAgreed, Unanswered } from './failures.ts';
import { digestOf, portableHasher } from './hashing.ts';
import type { BlobSink, ClientParts, FetchBlob } from './ports.ts';
import { persist, type RetryParts } from './retry.ts';

/** Asks for the bytes of a blob from `offset` on. */
export type AskForBytes = (
  digest: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
) => Promise<WireResponse>;

/** So often wrong bytes are taken for an accident. */
const MAX_DAMAGED = 3;

export function blobFetcher(parts: RetryParts, ask: AskForBytes, stop: AbortSignal): FetchBlob {
  return async (blob, sink, signal = stop) => {
    for (let attempt = 1; ; attempt++) {
      await persist(parts, signal, () => fill(ask, blob, sink, signal, parts));
      if (sink.have === blob.bytes && (await sink.digest()) === blob.digest) return;
      await sink.reset();
      if (attempt === MAX_DAMAGED)
        throw new HeadwaterError(
          'CONNECTION_FAILED',
          `blob ${blob.digest} came ${MAX_DAMAGED} times with other bytes than announced`,
          { hint: 'Something between here and the coordinator changes data, or its storage is damaged.' },
        );
    }
  };
}

/** One request for the rest. Throws Unanswered when the answer ends early: then it is asked again. */
async function fill(
  ask: AskForBytes,
  { digest, bytes }: { readonly digest: string; readonly bytes: number },
  sink: BlobSink,
  signal: AbortSignal,
  { onEvent }: RetryParts,
): Promise<void> {
  if (sink.have > bytes) await sink.reset();
  if (sink.have === bytes) return;
  const from = sink.have;
  const { status, headers, body } = await ask(digest, from === 0 ? {} : { range: `bytes=${from}-` }, signal);
  if (status === 206 ? !startsAt(headers['content-range'], from) : from > 0) await sink.reset();
  if (status === 206 && sink.have !== from) throw new Unanswered('another range than asked for');
  for await (const piece of body) {
    if (sink.have + piece.byteLength > bytes)
      throw notAsAgreed(`blob ${digest} is longer than ${bytes} bytes`);
    await sink.write(piece);
    onEvent({ type: 'downloading', doneBytes: sink.have, totalBytes: bytes });
  }
  if (sink.have < bytes) throw new Unanswered(`the connection ended after ${sink.have} of ${bytes} bytes`);
}

function startsAt(contentRange: string | undefined, from: number): boolean {
  return contentRange?.startsWith(`bytes ${from}-`) === true;
}

/** Keeps up to `maxBytes` in memory: for params, whose size was announced and allowed. */
export function memorySink(
  maxBytes: number,
  hasher: ClientParts['hasher'] = portableHasher,
): BlobSink & { whole(): Uint8Array } {
  const bytes = new Uint8Array(maxBytes);
  let have = 0;
  return {
    get have() {
      return have;
    },
    async write(piece) {
      bytes.set(piece, have);
      have += piece.byteLength;
    },
    async reset() {
      have = 0;
    },
    digest: async () => digestOf(hasher, bytes.subarray(0, have)),
    whole: () => bytes.subarray(0, have),
  };
}
