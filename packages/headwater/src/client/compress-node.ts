/**
 * Chunks in fewer bytes, where that pays: trained float32 hardly shrinks, quantised and sparse updates do. A piece of the
 * chunk is tried first, so that what does not shrink costs little.
 */

import { promisify } from 'node:util';
import { zstdCompress } from 'node:zlib';
import type { CompressedChunk } from './ports.ts';

const compress = promisify(zstdCompress);

const SAMPLE_BYTES = 256 * 1024;
/** Less than this saved is not worth the receiver's time. */
const WORTH_IT = 0.9;
/** What shrinks more (zeros, mostly) looks like a bomb to the receiver and goes as it is. */
const MAX_RATIO = 100;

export async function compressChunk(chunk: Uint8Array): Promise<CompressedChunk | undefined> {
  if (chunk.byteLength > 2 * SAMPLE_BYTES) {
    const middle = Math.floor((chunk.byteLength - SAMPLE_BYTES) / 2);
    const sample = await compress(chunk.subarray(middle, middle + SAMPLE_BYTES));
    if (sample.byteLength > WORTH_IT * SAMPLE_BYTES) return undefined;
  }
  const bytes = await compress(chunk);
  const ratio = chunk.byteLength / bytes.byteLength;
  return ratio < 1 / WORTH_IT || ratio > MAX_RATIO ? undefined : { encoding: 'zstd', bytes };
}
