/** What every Blobs store must do, run on each implementation by its own test file. Uploads: `uploads-conformance.ts`. */

import { describe, expect, it } from 'vitest';
import type { Blobs } from '../../src/storage/blobs.ts';
import { bytesOf, collected, failing, inPieces, MIB, sha256 } from './bytes.ts';
import { type BlobsUnderTest, uploadsConformance } from './uploads-conformance.ts';

export type { BlobsUnderTest };

const bytes = (text: string) => new TextEncoder().encode(text);

export function blobsConformance(subject: BlobsUnderTest): void {
  const opened = async () => {
    await subject.fresh();
    return await subject.open();
  };
  describe(`blobs contract: ${subject.name}`, () => {
    wholeBlobs(opened);
    streams(opened);
    ranges(opened);
  });
  uploadsConformance(subject);
}

type Opened = () => Promise<Blobs>;

function wholeBlobs(opened: Opened): void {
  it('the name of a blob is the SHA-256 of its bytes', async () => {
    const blobs = await opened();
    // FIPS 180-2, appendix B.1
    expect(await blobs.put(bytes('abc'))).toBe(
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    );
  });

  it('bytes come back exactly, also none at all', async () => {
    const blobs = await opened();
    for (const content of [bytes(''), bytes('x'), bytesOf(100_000)]) {
      const digest = await blobs.put(content);
      expect(Buffer.from(await blobs.get(digest)).equals(content)).toBe(true);
      expect(await blobs.has(digest)).toBe(true);
      expect(await blobs.size(digest)).toBe(content.byteLength);
    }
  });

  it('putting the same bytes twice, even at once, stores them once', async () => {
    const blobs = await opened();
    const digests = await Promise.all([1, 2, 3, 4].map(() => blobs.put(bytes('same'))));
    expect(new Set(digests).size).toBe(1);
    expect(await blobs.put(bytes('same'))).toBe(digests[0]);
    expect(await blobs.list()).toEqual([digests[0]]);
  });

  it('later changes of the caller’s buffer change nothing', async () => {
    const blobs = await opened();
    const content = bytes('abc');
    const digest = await blobs.put(content);
    content[0] = 0;
    expect(sha256(await blobs.get(digest))).toBe(digest);
  });

  it('a missing blob is RUN_CORRUPT', async () => {
    const blobs = await opened();
    const digest = '0'.repeat(64);
    expect(await blobs.has(digest)).toBe(false);
    expect(await blobs.size(digest)).toBeUndefined();
    await expect(blobs.get(digest)).rejects.toMatchObject({ code: 'RUN_CORRUPT' });
    await expect(collected(blobs.stream(digest))).rejects.toMatchObject({ code: 'RUN_CORRUPT' });
    const range = { offset: 0, length: 1 };
    await expect(collected(blobs.stream(digest, range))).rejects.toMatchObject({ code: 'RUN_CORRUPT' });
  });

  it('a name that is no SHA-256 is refused, whatever it points to', async () => {
    const blobs = await opened();
    const digest = await blobs.put(bytes('abc'));
    for (const name of [
      '',
      '..',
      '../x',
      `../${digest}`,
      digest.toUpperCase(),
      `${digest}\n`,
      `${digest}/..`,
    ]) {
      await expect(blobs.get(name)).rejects.toThrow();
      await expect(collected(blobs.stream(name))).rejects.toThrow();
      await expect(blobs.delete(name)).rejects.toThrow();
    }
    expect(await blobs.list()).toEqual([digest]);
  });

  it('a deleted blob is gone, deleting again is fine', async () => {
    const blobs = await opened();
    const digest = await blobs.put(bytes('abc'));
    await blobs.delete(digest);
    await blobs.delete(digest);
    expect(await blobs.has(digest)).toBe(false);
    expect(await blobs.list()).toEqual([]);
  });

  it('list names everything, sorted', async () => {
    const blobs = await opened();
    const digests = await Promise.all(['a', 'b', 'c', 'd'].map((text) => blobs.put(bytes(text))));
    expect(await blobs.list()).toEqual(digests.sort());
  });
}

function streams(opened: Opened): void {
  it.each([0, 1, 1000, MIB, 2 * MIB + 17])('%i bytes are stored and read piece by piece', async (count) => {
    const blobs = await opened();
    const content = bytesOf(count);
    for (const pieceBytes of [64 * 1024 + 1, 3 * MIB]) {
      const digest = await blobs.putStream(inPieces(content, pieceBytes));
      expect(digest).toBe(sha256(content));
      expect((await collected(blobs.stream(digest))).equals(content)).toBe(true);
    }
    expect(await blobs.list()).toHaveLength(1);
  });

  it('a source that uses one buffer for all pieces is stored as it was', async () => {
    const blobs = await opened();
    async function* reusing() {
      const buffer = new Uint8Array(1000);
      for (let i = 0; i < 3000; i += 1) {
        await null;
        yield buffer.fill(i);
      }
    }
    const digest = await blobs.putStream(reusing());
    expect(sha256(await blobs.get(digest))).toBe(digest);
    expect(sha256(await collected(reusing()))).toBe(digest);
  });

  it('a source that throws stores nothing', async () => {
    const blobs = await opened();
    await expect(blobs.putStream(failing(bytesOf(2 * MIB)))).rejects.toThrow('the sender went away');
    expect(await blobs.list()).toEqual([]);
  });
}

function ranges(opened: Opened): void {
  it('a range is given as it lies there, cut at the end', async () => {
    const blobs = await opened();
    const content = bytesOf(3 * MIB);
    const digest = await blobs.put(content);
    const read = async (offset: number, length: number) =>
      collected(blobs.stream(digest, { offset, length }));
    for (const [offset, length] of [
      [0, 1],
      [MIB - 1, 2],
      [5, 2 * MIB],
      [3 * MIB - 1, 1],
      [3 * MIB - 2, 1000],
      [0, 3 * MIB],
    ] as const) {
      const expected = content.subarray(offset, offset + length);
      expect((await read(offset, length)).equals(expected), `${offset} + ${length}`).toBe(true);
    }
    expect(await read(7, 0)).toHaveLength(0);
    expect(await read(3 * MIB, 10)).toHaveLength(0);
  });

  it('a reader may stop in the middle', async () => {
    const blobs = await opened();
    const digest = await blobs.put(bytesOf(3 * MIB));
    for await (const piece of blobs.stream(digest)) {
      expect(piece.byteLength).toBeGreaterThan(0);
      break;
    }
    expect(await blobs.has(digest)).toBe(true);
  });
}
