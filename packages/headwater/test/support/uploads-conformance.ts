/** What the uploads of every Blobs store must do; run by `blobsConformance`. */

import { describe, expect, it } from 'vitest';
import type { Blobs, UploadPlan, Uploads } from '../../src/storage/blobs.ts';
import { bytesOf, failing, inPieces, sha256 } from './bytes.ts';

export interface BlobsUnderTest {
  readonly name: string;
  /** Begins another, empty store … */
  fresh(): void | Promise<void>;
  /** … which each call opens, as a process after a restart would where that is possible. */
  open(): Promise<Blobs>;
}

const CHUNK = 1000;
const content = bytesOf(3500);
const plan: UploadPlan = { key: 'run.r1.alice', digest: sha256(content), bytes: 3500, chunkBytes: CHUNK };

const chunkOf = (whole: Uint8Array, index: number) => whole.slice(index * CHUNK, (index + 1) * CHUNK);

function send(uploads: Uploads, index: number, key = plan.key, whole = content): Promise<void> {
  const chunk = chunkOf(whole, index);
  return uploads.putChunk(key, index, sha256(chunk), inPieces(chunk, 300));
}

const invalid = expect.objectContaining({ code: 'UPLOAD_INVALID' });
const unknown = expect.objectContaining({ code: 'UPLOAD_UNKNOWN' });

export function uploadsConformance(subject: BlobsUnderTest): void {
  const opened = async () => {
    await subject.fresh();
    return await subject.open();
  };
  describe(`uploads contract: ${subject.name}`, () => {
    arriving(opened);
    sealing(opened);
    wrongChunks(opened);
    wrongPlans(opened);
    several(opened);
    restarts(opened, subject);
  });
}

type Opened = () => ReturnType<BlobsUnderTest['open']>;

function arriving(opened: Opened): void {
  it.each([
    ['in order', [0, 1, 2, 3]],
    ['backwards', [3, 2, 1, 0]],
    ['mixed', [2, 0, 3, 1]],
    ['twice', [0, 0, 1, 3, 1, 2, 3]],
  ])('chunks that come %s make the blob', async (_, order) => {
    const { uploads, ...blobs } = await opened();
    expect(await uploads.open(plan)).toEqual([]);
    for (const index of order) await send(uploads, index);
    expect(await uploads.open(plan)).toEqual([0, 1, 2, 3]);
    expect(await uploads.seal(plan)).toBe(plan.digest);
    expect(Buffer.from(await blobs.get(plan.digest)).equals(content)).toBe(true);
    expect(await uploads.list()).toEqual([]);
  });

  it('chunks that come at once, each twice, make the blob', async () => {
    const { uploads, ...blobs } = await opened();
    await Promise.all([uploads.open(plan), uploads.open(plan)]);
    await Promise.all([0, 1, 2, 3, 3, 2, 1, 0].map((index) => send(uploads, index)));
    expect(await uploads.seal(plan)).toBe(plan.digest);
    expect(sha256(await blobs.get(plan.digest))).toBe(plan.digest);
  });

  it('chunks that overlap in time make the blob', async () => {
    const { uploads, ...blobs } = await opened();
    await uploads.open(plan);
    async function* around(index: number, inside: () => Promise<void>) {
      yield chunkOf(content, index).slice(0, 300);
      await inside();
      yield chunkOf(content, index).slice(300);
    }
    const nested = (index: number): Promise<void> =>
      index < 0
        ? Promise.resolve()
        : uploads.putChunk(
            plan.key,
            index,
            sha256(chunkOf(content, index)),
            around(index, () => nested(index - 1)),
          );
    await nested(3);
    expect(await uploads.seal(plan)).toBe(plan.digest);
    expect(Buffer.from(await blobs.get(plan.digest)).equals(content)).toBe(true);
  });

  it('an upload of no bytes, of one chunk, and of whole chunks only', async () => {
    const { uploads, ...blobs } = await opened();
    for (const count of [0, 1, CHUNK, 2 * CHUNK]) {
      const whole = bytesOf(count, 3);
      const small = { key: 'small', digest: sha256(whole), bytes: count, chunkBytes: CHUNK };
      await uploads.open(small);
      for (let index = 0; index * CHUNK < count; index += 1) await send(uploads, index, 'small', whole);
      expect(await uploads.seal(small)).toBe(small.digest);
      expect(await blobs.size(small.digest)).toBe(count);
    }
  });

  it('what is not sealed is no blob, and is listed with what was announced', async () => {
    const { uploads, ...blobs } = await opened();
    await uploads.open(plan);
    await send(uploads, 1);
    expect(await uploads.open(plan)).toEqual([1]);
    expect(await blobs.list()).toEqual([]);
    const [listed, ...more] = await uploads.list();
    expect(more).toEqual([]);
    expect(listed).toMatchObject({ key: plan.key, bytes: 3500 });
    expect(listed?.modifiedMs).toBeGreaterThanOrEqual(0);
  });
}

function sealing(opened: Opened): void {
  it('sealing again after success is fine', async () => {
    const { uploads } = await opened();
    await uploads.open(plan);
    for (const index of [0, 1, 2, 3]) await send(uploads, index);
    expect(await uploads.seal(plan)).toBe(plan.digest);
    expect(await uploads.seal(plan)).toBe(plan.digest);
    await expect(send(uploads, 0)).rejects.toEqual(unknown);
  });

  it('sealing twice at once is fine', async () => {
    const { uploads, ...blobs } = await opened();
    await uploads.open(plan);
    for (const index of [0, 1, 2, 3]) await send(uploads, index);
    expect(await Promise.all([uploads.seal(plan), uploads.seal(plan)])).toEqual([plan.digest, plan.digest]);
    expect(sha256(await blobs.get(plan.digest))).toBe(plan.digest);
  });

  it('missing chunks are named, and may still come', async () => {
    const { uploads } = await opened();
    await uploads.open(plan);
    await send(uploads, 0);
    await send(uploads, 3);
    await expect(uploads.seal(plan)).rejects.toEqual(invalid);
    await expect(uploads.seal(plan)).rejects.toThrow(/1, 2/);
    await send(uploads, 1);
    await send(uploads, 2);
    expect(await uploads.seal(plan)).toBe(plan.digest);
  });

  it('a whole with another digest is refused and dropped', async () => {
    const { uploads, ...blobs } = await opened();
    const lie = { ...plan, digest: '0'.repeat(64) };
    await uploads.open(lie);
    for (const index of [0, 1, 2, 3]) await send(uploads, index);
    await expect(uploads.seal(lie)).rejects.toEqual(invalid);
    expect(await blobs.list()).toEqual([]);
    expect(await uploads.list()).toEqual([]);
    expect(await uploads.open(lie)).toEqual([]);
  });

  it('what was never uploaded cannot be sealed', async () => {
    const { uploads } = await opened();
    await expect(uploads.seal(plan)).rejects.toEqual(invalid);
  });
}

function wrongChunks(opened: Opened): void {
  it('a chunk with the wrong digest, too few or too many bytes is not there', async () => {
    const { uploads } = await opened();
    await uploads.open(plan);
    const chunk = chunkOf(content, 0);
    const put = (bytes: Uint8Array, digest = sha256(bytes)) =>
      uploads.putChunk(plan.key, 0, digest, inPieces(bytes, 300));
    await expect(put(chunk, '0'.repeat(64))).rejects.toEqual(invalid);
    await expect(put(chunk.slice(1))).rejects.toEqual(invalid);
    await expect(put(bytesOf(CHUNK + 1))).rejects.toEqual(invalid);
    await expect(put(new Uint8Array())).rejects.toEqual(invalid);
    await expect(uploads.putChunk(plan.key, 3, sha256(chunk), inPieces(chunk, 300))).rejects.toEqual(invalid);
    await expect(uploads.putChunk(plan.key, 0, sha256(chunk), failing(chunk.slice(9)))).rejects.toThrow();
    expect(await uploads.open(plan)).toEqual([]);
    await put(chunk);
    expect(await uploads.open(plan)).toEqual([0]);
  });

  it('a sender without end is stopped', async () => {
    const { uploads } = await opened();
    await uploads.open(plan);
    async function* endless() {
      for (let sent = 0; sent < 1000; sent += 1) {
        await null;
        yield bytesOf(CHUNK);
      }
      throw new Error('was not stopped');
    }
    await expect(uploads.putChunk(plan.key, 0, plan.digest, endless())).rejects.toEqual(invalid);
  });

  it('a failing repetition does not harm the chunk that is there', async () => {
    const { uploads, ...blobs } = await opened();
    await uploads.open(plan);
    for (const index of [0, 1, 2, 3]) await send(uploads, index);
    const [chunk, other] = [chunkOf(content, 1), bytesOf(CHUNK, 99)];
    await uploads.putChunk(plan.key, 1, sha256(chunk), failing(other)).catch(() => undefined);
    await uploads.putChunk(plan.key, 1, sha256(chunk), inPieces(other, 300)).catch(() => undefined);
    await uploads.putChunk(plan.key, 1, '0'.repeat(64), inPieces(other, 300)).catch(() => undefined);
    expect(await uploads.seal(plan)).toBe(plan.digest);
    expect(Buffer.from(await blobs.get(plan.digest)).equals(content)).toBe(true);
  });

  it('a sender that stalls with wrong bytes does not harm the same chunk sent again', async () => {
    const { uploads, ...blobs } = await opened();
    await uploads.open(plan);
    for (const index of [0, 2, 3]) await send(uploads, index);
    let goOn = () => {};
    const stalled = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const wrong = bytesOf(CHUNK, 77);
    async function* stalling() {
      yield wrong.slice(0, 600);
      await stalled;
      yield wrong.slice(600);
    }
    const first = uploads
      .putChunk(plan.key, 1, sha256(chunkOf(content, 1)), stalling())
      .catch(() => undefined);
    await send(uploads, 1);
    goOn();
    await first;
    expect(await uploads.seal(plan)).toBe(plan.digest);
    expect(Buffer.from(await blobs.get(plan.digest)).equals(content)).toBe(true);
  });

  it('there is no chunk beyond the plan, and none without an open upload', async () => {
    const { uploads } = await opened();
    await expect(send(uploads, 0)).rejects.toEqual(unknown);
    await uploads.open(plan);
    const chunk = chunkOf(content, 0);
    for (const index of [4, -1, 0.5, Number.NaN, 2 ** 40])
      await expect(uploads.putChunk(plan.key, index, sha256(chunk), inPieces(chunk, 300))).rejects.toEqual(
        invalid,
      );
  });
}

function wrongPlans(opened: Opened): void {
  it('a key that is no plain name, a digest that is none and impossible sizes are refused', async () => {
    const { uploads } = await opened();
    const keys = ['', 'a/b', 'a\\b', '../a', 'a b', 'ä', 'a\u0000', 'a\n', 'x'.repeat(201)];
    for (const key of keys) {
      await expect(uploads.open({ ...plan, key })).rejects.toEqual(invalid);
      await expect(uploads.seal({ ...plan, key })).rejects.toEqual(invalid);
      await expect(send(uploads, 0, key)).rejects.toEqual(invalid);
      await expect(uploads.drop(key)).rejects.toEqual(invalid);
    }
    for (const wrong of [{ digest: '../x' }, { bytes: -1 }, { bytes: 0.5 }, { chunkBytes: 0 }])
      await expect(uploads.open({ ...plan, ...wrong })).rejects.toEqual(invalid);
    expect(await uploads.list()).toEqual([]);
  });

  it.each(['.', '..', '...', '.data', 'CON', 'a'.repeat(200), 'A', 'a', '__proto__'])(
    'the key %s is fine',
    async (key) => {
      const { uploads } = await opened();
      await uploads.open({ ...plan, key });
      for (const index of [0, 1, 2, 3]) await send(uploads, index, key);
      expect((await uploads.list()).map((upload) => upload.key)).toEqual([key]);
      expect(await uploads.seal({ ...plan, key })).toBe(plan.digest);
    },
  );

  it('another plan under the same key begins anew', async () => {
    const { uploads, ...blobs } = await opened();
    await uploads.open(plan);
    await send(uploads, 0);
    const other = bytesOf(1500, 5);
    const next = { ...plan, digest: sha256(other), bytes: 1500 };
    expect(await uploads.open(next)).toEqual([]);
    for (const index of [0, 1]) await send(uploads, index, plan.key, other);
    await expect(uploads.seal(plan)).rejects.toEqual(invalid);
    expect(await uploads.open(next)).toEqual([0, 1]);
    expect(await uploads.seal(next)).toBe(next.digest);
    expect(Buffer.from(await blobs.get(next.digest)).equals(other)).toBe(true);
  });
}

function several(opened: Opened): void {
  it('two senders of the same bytes do not see each other', async () => {
    const { uploads, ...blobs } = await opened();
    const bob = { ...plan, key: 'run.r1.bob' };
    await uploads.open(plan);
    expect(await uploads.open(bob)).toEqual([]);
    for (const index of [0, 1, 2, 3]) await send(uploads, index);
    expect(await uploads.seal(plan)).toBe(plan.digest);
    expect(await uploads.open(bob)).toEqual([]);
    // The blob is there, yet what Bob began he must finish.
    await expect(uploads.seal(bob)).rejects.toEqual(invalid);
    for (const index of [3, 2, 1, 0]) await send(uploads, index, bob.key);
    expect(await uploads.seal(bob)).toBe(plan.digest);
    expect(await blobs.list()).toEqual([plan.digest]);
    expect(sha256(await blobs.get(plan.digest))).toBe(plan.digest);
  });

  it('a dropped upload is gone, dropping again is fine', async () => {
    const { uploads } = await opened();
    await uploads.open(plan);
    await send(uploads, 0);
    await uploads.open({ ...plan, key: 'other' });
    await uploads.drop(plan.key);
    await uploads.drop(plan.key);
    expect((await uploads.list()).map(({ key }) => key)).toEqual(['other']);
    await expect(send(uploads, 1)).rejects.toEqual(unknown);
    expect(await uploads.open(plan)).toEqual([]);
  });

  it('a drop while a chunk is on its way wins', async () => {
    const { uploads } = await opened();
    await uploads.open(plan);
    async function* slow() {
      yield chunkOf(content, 0).slice(0, 500);
      await uploads.drop(plan.key);
      yield chunkOf(content, 0).slice(500);
    }
    await uploads.putChunk(plan.key, 0, sha256(chunkOf(content, 0)), slow()).catch(() => undefined);
    expect(await uploads.list()).toEqual([]);
    expect(await uploads.open(plan)).toEqual([]);
  });
}

function restarts(opened: Opened, subject: BlobsUnderTest): void {
  it('an upload goes on after reopening, also without opening it again', async () => {
    const before = await opened();
    await before.uploads.open(plan);
    await send(before.uploads, 2);
    await send(before.uploads, 0);
    const after = await subject.open();
    expect(await after.uploads.open(plan)).toEqual([0, 2]);
    await send(after.uploads, 3);
    const last = await subject.open();
    await send(last.uploads, 1);
    const sealing = await subject.open();
    expect(await sealing.uploads.seal(plan)).toBe(plan.digest);
    expect(sha256(await sealing.get(plan.digest))).toBe(plan.digest);
    expect(await sealing.uploads.list()).toEqual([]);
  });
}
