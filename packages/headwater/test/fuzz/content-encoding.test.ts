/** Compressed chunks from strangers: bombs, broken streams and random bytes expand within limits or are refused. */

import { promisify } from 'node:util';
import { brotliCompress, gzip, zstdCompress } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { compressChunk } from '../../src/client/compress-node.ts';
import { decodedBody } from '../../src/coordinator/http/body.ts';
import { LIMITS } from '../../src/federation/wire/messages.ts';
import { Refusal } from '../../src/federation/wire/refusals.ts';
import { mutatedBytes, PARAMETERS } from './support.ts';

const gzipped = promisify(gzip);
const zstd = promisify(zstdCompress);
const ENCODINGS = [
  ['gzip', (bytes: Uint8Array) => gzipped(bytes)],
  ['zstd', (bytes: Uint8Array) => zstd(bytes)],
] as const;

async function* cut(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

/** How many bytes came out, or which refusal; anything else is a bug. */
async function outcome(
  sent: AsyncIterable<Uint8Array>,
  encoding: string | undefined,
): Promise<number | string> {
  let given = 0;
  try {
    for await (const piece of decodedBody(sent, encoding)) given += piece.byteLength;
    return given;
  } catch (error) {
    expect(given).toBeLessThanOrEqual(LIMITS.chunkBytes);
    if (error instanceof Refusal) return error.code;
    throw error;
  }
}

const plain = Uint8Array.from({ length: 5000 }, (_, i) => (i * i) % 251);

describe.each(ENCODINGS)('%s', (encoding, compress) => {
  it('gives back what was compressed, however it is cut', async () => {
    const sent = await compress(plain);
    const pieces: Uint8Array[] = [];
    for await (const piece of decodedBody(cut(sent, 7), encoding)) pieces.push(piece);
    expect(Buffer.concat(pieces).equals(plain)).toBe(true);
  });

  it('a whole chunk that does not shrink much is taken', async () => {
    const chunk = new Uint8Array(LIMITS.chunkBytes).map((_, i) => (i * 2654435761) >>> 13);
    expect(await outcome(cut(await compress(chunk), 65_536), encoding)).toBe(LIMITS.chunkBytes);
  });

  it('zeros that expand to more than a chunk are a bomb, found before they are all there', async () => {
    expect(await outcome(cut(await compress(new Uint8Array(64 << 20)), 4096), encoding)).toBe('too-large');
  });

  it('zeros that expand a thousand times within a chunk are one too', async () => {
    expect(await outcome(cut(await compress(new Uint8Array(4 << 20)), 100_000), encoding)).toBe('too-large');
  });

  it('one bomb in another is the outer one alone: it is expanded once', async () => {
    const inner = await compress(new Uint8Array(32 << 20));
    expect(await outcome(cut(await compress(inner), 4096), encoding)).toBe(inner.byteLength);
  });

  it('trailing streams count like the first', async () => {
    const one = await compress(new Uint8Array(1 << 20));
    const many = Buffer.concat(Array.from({ length: 40 }, () => one));
    expect(await outcome(cut(many, 65_536), encoding)).toBe('too-large');
  });

  it('nothing, and streams cut anywhere, are refused or shorter', async () => {
    const sent = await compress(plain);
    for (let length = 0; length < sent.length; length += 97) {
      const result = await outcome(cut(sent.subarray(0, length), 50), encoding);
      expect(result === 'upload-invalid' || Number(result) < plain.length).toBe(true);
    }
  });

  it('mutated streams and random bytes are expanded or refused', async () => {
    const seeds = [await compress(plain), await compress(new Uint8Array(100_000))];
    const body = fc.oneof(mutatedBytes(seeds), fc.uint8Array({ maxLength: 200 }));
    await fc.assert(
      fc.asyncProperty(body, fc.integer({ min: 1, max: 500 }), async (bytes, length) => {
        const result = await outcome(cut(bytes, length), encoding);
        if (typeof result === 'string') expect(['upload-invalid', 'too-large']).toContain(result);
      }),
      { ...PARAMETERS, numRuns: 500 },
    );
  });

  it('a sender that breaks off is passed on, not swallowed', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield (await compress(plain)).subarray(0, 20);
      throw new Refusal('too-slow', 'the body comes too slowly');
    }
    expect(await outcome(broken(), encoding)).toBe('too-slow');
  });
});

describe('what the client compresses', () => {
  const sparse = (step: number) =>
    new Uint8Array(LIMITS.chunkBytes).map((_, i) => (i % step === 0 ? i >> 7 : 0));

  it.each([1, 8, 64, 512, 4096, LIMITS.chunkBytes])(
    'a chunk with a number every %d bytes is taken',
    async (step) => {
      const chunk = sparse(step);
      const sent = (await compressChunk(chunk)) ?? { encoding: 'identity', bytes: chunk };
      expect(await outcome(cut(sent.bytes, 65_536), sent.encoding)).toBe(chunk.byteLength);
    },
  );
});

describe('other encodings', () => {
  it.each([
    'br',
    'deflate',
    'compress',
    'gzip, gzip',
    'gzip,zstd',
    'GZIP',
    '',
    'x'.repeat(1000),
    'constructor',
  ])('%.20s is refused', async (encoding) => {
    const sent = await promisify(brotliCompress)(plain);
    const read = async () => outcome(cut(sent, 1000), encoding);
    expect(await read().catch((error: unknown) => (error as Refusal).code)).toBe('encoding-refused');
  });

  it('a zstd window of 2 GiB is not made room for', async () => {
    // Frame header: magic, window descriptor of 2^31, an endless block.
    const frame = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xa8, 0x01, 0x00, 0x00);
    expect(await outcome(cut(frame, 3), 'zstd')).toBe('upload-invalid');
  });
});
