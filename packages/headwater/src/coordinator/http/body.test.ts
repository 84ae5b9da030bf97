import { PassThrough, Readable } from 'node:stream';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { bodyOf } from '../../../test/support/coordinator-world.ts';
import { LIMITS } from '../../federation/wire/messages.ts';
import { decodedBody, pacedBody } from './body.ts';

async function outcome(body: AsyncIterable<Uint8Array>): Promise<string | number> {
  let bytes = 0;
  try {
    for await (const piece of body) bytes += piece.byteLength;
    return bytes;
  } catch (error) {
    return (error as { code: string }).code;
  }
}

const half = new Uint8Array(LIMITS.chunkBytes / 2).map((_, i) => (i * 2_654_435_761) >>> 13);

describe('expanding chunks', () => {
  it('gives what was compressed, in pieces', async () => {
    expect(await outcome(decodedBody(bodyOf(gzipSync(half)), 'gzip'))).toBe(half.byteLength);
    expect(await outcome(decodedBody(bodyOf(zstdCompressSync(half)), 'zstd'))).toBe(half.byteLength);
    expect(await outcome(decodedBody(bodyOf(half), undefined))).toBe(half.byteLength);
  });

  it('stops at the size of a chunk, and where too little became too much', async () => {
    const three = Buffer.concat([half, half, half]);
    for (const [encode, encoding] of [
      [gzipSync, 'gzip'],
      [zstdCompressSync, 'zstd'],
    ] as const) {
      expect(await outcome(decodedBody(bodyOf(encode(three)), encoding))).toBe('too-large');
      // Below a chunk, but expanded a thousandfold.
      const zeros = new Uint8Array(LIMITS.chunkBytes / 2);
      expect(await outcome(decodedBody(bodyOf(encode(zeros)), encoding))).toBe('too-large');
      // Several members behind each other count together.
      const members = Buffer.concat([encode(half), encode(half), encode(half)]);
      expect(await outcome(decodedBody(bodyOf(members), encoding))).toBe('too-large');
    }
  });

  it('what is cut off or not encoded at all is invalid', async () => {
    expect(await outcome(decodedBody(bodyOf(gzipSync(half).subarray(0, 1000)), 'gzip'))).toBe(
      'upload-invalid',
    );
    expect(await outcome(decodedBody(bodyOf(half), 'zstd'))).toBe('upload-invalid');
    expect(() => decodedBody(bodyOf(half), 'br')).toThrow('gzip or zstd');
  });

  it('passes on why the body itself was refused', async () => {
    const slow = pacedBody(Readable.from([gzipSync(half).subarray(0, 10), new Uint8Array(10)]), later());
    expect(await outcome(decodedBody(slow, 'gzip'))).toBe('too-slow');
  });
});

/** Each look at the clock is a minute later. */
function later() {
  let nowMs = 0;
  return { nowMs: () => (nowMs += 60_000) };
}

describe('slow bodies', () => {
  it('are given up when they come too slowly on average', async () => {
    expect(await outcome(pacedBody(Readable.from([new Uint8Array(10)]), later()))).toBe('too-slow');
    const still = { nowMs: () => 0 };
    expect(await outcome(pacedBody(Readable.from([new Uint8Array(10)]), still))).toBe(10);
  });

  it('that break off are an error of the connection', async () => {
    const source = new PassThrough();
    source.write(new Uint8Array(10));
    source.destroy(new Error('reset'));
    expect(await outcome(pacedBody(source, { nowMs: () => 0 }))).toBeUndefined();
  });
});
