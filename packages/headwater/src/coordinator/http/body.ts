/**
 * Bodies of requests as they arrive over HTTP: a sender that is too slow is given up, a compressed chunk is expanded within
 * strict limits. Sizes and digests are checked by the core.
 */

import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createGunzip, createZstdDecompress } from 'node:zlib';
import type { Clock } from '../../base/clock.ts';
import { LIMITS } from '../../federation/wire/messages.ts';
import { Refusal } from '../../federation/wire/refusals.ts';

/** A sender must manage this on average, after a while to get going. */
const MIN_BYTES_PER_SECOND = 16 * 1024;
const START_MS = 15_000;
const IDLE_MS = 20_000;

/** Throws `too-slow`. */
export async function* pacedBody(source: Readable, clock: Clock): AsyncGenerator<Uint8Array> {
  const startedMs = clock.nowMs();
  let bytes = 0;
  const idle = setTimeout(() => source.destroy(tooSlow()), IDLE_MS);
  try {
    for await (const piece of source as AsyncIterable<Uint8Array>) {
      idle.refresh();
      bytes += piece.byteLength;
      const seconds = (clock.nowMs() - startedMs - START_MS) / 1000;
      if (seconds > 0 && bytes < seconds * MIN_BYTES_PER_SECOND) throw tooSlow();
      yield piece;
    }
  } finally {
    clearTimeout(idle);
  }
}

function tooSlow(): Refusal {
  return new Refusal('too-slow', 'the body comes too slowly', { retryAfterMs: 1000 });
}

/** After the first MiB: what expands more than this is no update. */
const MAX_RATIO = 200;
const FREE_BYTES = 1 << 20;

/** The bytes before their Content-Encoding. Throws `encoding-refused`, `too-large`, `upload-invalid`. */
export function decodedBody(
  body: AsyncIterable<Uint8Array>,
  encoding: string | undefined,
): AsyncIterable<Uint8Array> {
  if (encoding === undefined || encoding === 'identity') return body;
  if (encoding === 'gzip') return expanded(body, () => createGunzip());
  // A window larger than a chunk could not be used, only cost memory.
  const params = { [constants.ZSTD_d_windowLogMax]: Math.log2(LIMITS.chunkBytes) };
  if (encoding === 'zstd') return expanded(body, () => createZstdDecompress({ params }));
  throw new Refusal('encoding-refused', 'chunks are taken as identity, gzip or zstd', {
    hint: 'Send the chunk as it is.',
  });
}

async function* expanded(
  body: AsyncIterable<Uint8Array>,
  create: () => NodeJS.ReadWriteStream,
): AsyncGenerator<Uint8Array> {
  let received = 0;
  let given = 0;
  const counted = async function* () {
    for await (const piece of body) {
      received += piece.byteLength;
      yield piece;
    }
  };
  const decoder = create();
  const piping = pipeline(Readable.from(counted()), decoder).catch((cause) => cause as unknown);
  try {
    for await (const piece of decoder as unknown as AsyncIterable<Uint8Array>) {
      given += piece.byteLength;
      if (given > LIMITS.chunkBytes || (given > FREE_BYTES && given > MAX_RATIO * received)) throw bomb();
      yield piece;
    }
  } catch (cause) {
    throw cause instanceof Refusal ? cause : ((await refusalIn(piping)) ?? notEncoded());
  } finally {
    (decoder as unknown as Readable).destroy();
  }
}

/** What the body itself was refused for, if that is why decoding ended. */
async function refusalIn(piping: Promise<unknown>): Promise<Refusal | undefined> {
  const cause = await piping;
  return cause instanceof Refusal ? cause : undefined;
}

function bomb(): Refusal {
  return new Refusal('too-large', 'the chunk expands to more than a chunk holds');
}

function notEncoded(): Refusal {
  return new Refusal('upload-invalid', 'the chunk is not what its Content-Encoding says');
}
