/** Reads objects piece by piece and goes on where a connection broke. It checks no digests. */

import { randomInt } from 'node:crypto';
import { sleep, type Timers } from '../../base/clock.ts';
import { runCorrupt } from '../failures.ts';
import type { Bucket, ObjectBody } from './bucket.ts';
import { bucketError, isBehindEnd, isMissing, isTransient } from './failures.ts';

export const PIECE_BYTES = 2 ** 20;
/** In a row, without a byte in between. */
const MAX_FAILURES = 5;
/** Stores that are consistent only in the end may not know yet what was written just now. */
const MISSING_ATTEMPTS = 4;
const FIRST_PAUSE_MS = 20;

/** Bytes `from` … `end` − 1 of the object, fewer where it ends before. Throws RUN_CORRUPT when it is missing. */
export async function* readObject(
  bucket: Bucket,
  timers: Timers,
  name: string,
  from = 0,
  end?: number,
): AsyncGenerator<Uint8Array> {
  let at = from;
  let stop = end;
  for (let failures = 0; stop === undefined || at < stop; ) {
    try {
      const body = await openObject(bucket, timers, name, at, stop);
      if (body === undefined) return;
      if (body.length !== undefined) stop = at + body.length;
      for await (const piece of split(body.pieces)) {
        at += piece.byteLength;
        failures = 0;
        yield piece;
      }
      if (stop === undefined) return;
      if (at < stop) throw Object.assign(new Error('the answer ended early'), { code: 'ECONNRESET' });
    } catch (error) {
      if (!isTransient(error) || ++failures > MAX_FAILURES)
        throw bucketError(error, `read ${name}`, bucket.shown);
      await pause(timers, failures);
    }
  }
}

/** Undefined when the object ends before `from`. */
async function openObject(
  bucket: Bucket,
  timers: Timers,
  name: string,
  from: number,
  end: number | undefined,
): Promise<ObjectBody | undefined> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await bucket.get(name, from, end);
    } catch (error) {
      if (isBehindEnd(error)) return undefined;
      if (!isMissing(error)) throw error;
      if (attempt === MISSING_ATTEMPTS) throw runCorrupt(`${name} is missing`, bucket.shown, error);
      await pause(timers, attempt);
    }
  }
}

async function* split(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  for await (const piece of pieces)
    for (let at = 0; at < piece.byteLength; at += PIECE_BYTES) yield piece.subarray(at, at + PIECE_BYTES);
}

function pause(timers: Timers, attempt: number): Promise<void> {
  return sleep(timers, 1 + randomInt(FIRST_PAUSE_MS * 4 ** (attempt - 1)));
}
