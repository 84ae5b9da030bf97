import { createHash } from 'node:crypto';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { blobsConformance } from '../../test/support/blobs-conformance.ts';
import { bytesOf, collected, failing, inPieces, sha256 } from '../../test/support/bytes.ts';
import { type FakeS3, type Fault, type S3Request, startFakeS3 } from '../../test/support/fake-s3.ts';
import { openS3Blobs, type S3Blobs, type S3Options } from './s3-blobs.ts';

process.env.AWS_ACCESS_KEY_ID = 'id-for-tests';
process.env.AWS_SECRET_ACCESS_KEY = 'secret-for-tests';

const KIB = 1024;
const sizes = { partBytes: 256 * KIB, copyAtOnceBytes: 512 * KIB, copyPartBytes: 300 * KIB };

/** Pauses between attempts take no time. */
const timers = {
  after(_: number, fire: () => void) {
    const handle = setImmediate(fire);
    return () => clearImmediate(handle);
  },
};

const started: { close(): unknown }[] = [];
afterAll(async () => {
  for (const one of started.reverse()) await one.close();
});

async function start(options?: {
  readonly pageSize?: number;
  readonly minPartBytes?: number;
}): Promise<FakeS3> {
  const s3 = await startFakeS3({ minPartBytes: sizes.partBytes, ...options });
  started.push(s3);
  return s3;
}

async function open(s3: FakeS3, options: S3Options = {}): Promise<S3Blobs> {
  const blobs = await openS3Blobs(s3.url, { sizes, timers, ...options });
  started.push(blobs);
  return blobs;
}

let shared: FakeS3;
blobsConformance({
  name: 'S3',
  fresh: async () => {
    shared ??= await start();
    shared.objects.clear();
  },
  open: () => open(shared),
});

describe('blobs on S3', () => {
  let s3: FakeS3;
  let blobs: S3Blobs;
  beforeEach(async () => {
    s3 = await start();
    blobs = await open(s3);
  });

  /** The first `times` requests of the operation go wrong. */
  const breaking = (operation: string, times: number, fault: Fault) => (request: S3Request) =>
    request.operation === operation && request.count <= times ? fault : undefined;

  it('real parts are 8 MiB: S3’s own limit of 5 MiB is kept', async () => {
    const strict = await start({ minPartBytes: 5 * 2 ** 20 });
    const usual = await openS3Blobs(strict.url);
    started.push(usual);
    const content = bytesOf(8 * 2 ** 20 + 5);
    const digest = await usual.putStream(inPieces(content, 2 ** 20));
    expect(digest).toBe(sha256(content));
    expect((await collected(usual.stream(digest))).equals(content)).toBe(true);
    expect(strict.requests.filter(({ operation }) => operation === 'UploadPart')).toHaveLength(2);
  });

  it('a stream longer than one copy allows is moved to its name in parts', async () => {
    const content = bytesOf(700 * KIB);
    const digest = await blobs.putStream(inPieces(content, 100 * KIB));
    expect(s3.requests.map(({ operation }) => operation)).toContain('UploadPartCopy');
    expect((await collected(blobs.stream(digest))).equals(content)).toBe(true);
    expect([...s3.objects.keys()]).toEqual([`some/prefix/blobs/${digest}`]);
    expect(s3.openMultiparts()).toBe(0);
  });

  it('a source that breaks in the middle of a multipart leaves nothing', async () => {
    await expect(blobs.putStream(failing(bytesOf(600 * KIB)))).rejects.toThrow('the sender went away');
    expect(s3.requests.some(({ operation }) => operation === 'UploadPart')).toBe(true);
    expect([...s3.objects.keys()]).toEqual([]);
    expect(s3.openMultiparts()).toBe(0);
  });

  it.each([
    ['a server in trouble', { kind: 'status', status: 500, code: 'InternalError' }],
    ['a server that asks for fewer requests', { kind: 'status', status: 503, code: 'SlowDown' }],
    ['a connection that breaks before', { kind: 'cut', when: 'before' }],
    ['a connection that breaks after', { kind: 'cut', when: 'after' }],
  ] as const)('%s: writing and reading succeed in the end', async (_, fault) => {
    // After a SlowDown the SDK waits for up to a second.
    const once =
      fault.kind === 'status' && fault.status === 503
        ? ['UploadPart']
        : ['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload', 'GetObject'];
    s3.fault = ({ operation, count }) => (once.includes(operation) && count === 1 ? fault : undefined);
    const content = bytesOf(600 * KIB);
    const digest = await blobs.putStream(inPieces(content, 100 * KIB));
    expect(sha256(await blobs.get(digest))).toBe(sha256(content));
    expect(await blobs.list()).toEqual([digest]);
  });

  it('a body that is cut is read on from where it broke', async () => {
    const digest = await blobs.put(bytesOf(200 * KIB));
    s3.fault = breaking('GetObject', 3, { kind: 'cut body', bytes: 50_001 });
    expect(sha256(await blobs.get(digest))).toBe(digest);
    expect(s3.requests.filter(({ operation }) => operation === 'GetObject')).toHaveLength(4);
  });

  it('a body that falls silent is given up and read on', async () => {
    const impatient = await open(s3, { idleTimeoutMs: 50 });
    const digest = await impatient.put(bytesOf(200 * KIB));
    s3.fault = breaking('GetObject', 1, { kind: 'stall body', bytes: 50_001 });
    expect(sha256(await impatient.get(digest))).toBe(digest);
  });

  it('a store that does not know yet what was written is asked again', async () => {
    const digest = await blobs.put(bytesOf(10));
    s3.fault = breaking('GetObject', 2, { kind: 'status', status: 404, code: 'NoSuchKey' });
    expect(sha256(await blobs.get(digest))).toBe(digest);
  });

  it('a store that never answers well is CONNECTION_FAILED', async () => {
    const digest = await blobs.put(bytesOf(10));
    const hasty = await open(s3, { maxAttempts: 1 });
    s3.fault = () => ({ kind: 'status', status: 500, code: 'InternalError' });
    await expect(hasty.get(digest)).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
    await expect(hasty.put(bytesOf(11))).rejects.toMatchObject({ code: 'CONNECTION_FAILED' });
  });

  it('a damaged object is RUN_CORRUPT, before its last piece is given', async () => {
    const content = bytesOf(100 * KIB);
    const digest = await blobs.put(content);
    const damaged = content.slice();
    damaged[0]! ^= 1;
    s3.objects.set(`some/prefix/blobs/${digest}`, damaged);
    await expect(blobs.get(digest)).rejects.toMatchObject({ code: 'RUN_CORRUPT' });
    let seen = 0;
    await expect(
      (async () => {
        for await (const piece of blobs.stream(digest)) seen += piece.byteLength;
      })(),
    ).rejects.toMatchObject({ code: 'RUN_CORRUPT' });
    expect(seen).toBeLessThan(content.byteLength);
  });

  it('what a crash left behind is listed and can be dropped', async () => {
    const kept = await blobs.put(bytesOf(5));
    s3.fault = breaking('AbortMultipartUpload', 99, { kind: 'status', status: 403, code: 'AccessDenied' });
    for (let i = 0; i < 5; i++) await blobs.putStream(failing(bytesOf(600 * KIB))).catch(() => undefined);
    s3.fault = () => undefined;
    s3.objects.set('some/prefix/staging/left', bytesOf(7));
    const left = await blobs.uploads.list();
    expect(left).toHaveLength(6);
    expect(left.map(({ bytes }) => bytes)).toEqual([0, 0, 0, 0, 0, 7]);
    for (const { key } of left) await blobs.uploads.drop(key);
    expect(await blobs.uploads.list()).toEqual([]);
    expect(s3.openMultiparts()).toBe(0);
    expect(await blobs.list()).toEqual([kept]);
  });

  it('an upload survives the process: another one goes on and seals', async () => {
    const content = bytesOf(2500 * 100);
    const plan = {
      key: 'r.1.alice',
      digest: sha256(content),
      bytes: content.byteLength,
      chunkBytes: 100_000,
    };
    const send = (to: S3Blobs, index: number) => {
      const chunk = content.slice(index * 100_000, (index + 1) * 100_000);
      return to.uploads.putChunk(plan.key, index, sha256(chunk), inPieces(chunk, 30_000));
    };
    await blobs.uploads.open(plan);
    await send(blobs, 2);
    const other = await open(s3);
    expect(await other.uploads.open(plan)).toEqual([2]);
    await send(other, 0);
    await send(other, 1);
    expect(await other.uploads.seal(plan)).toBe(plan.digest);
    expect(sha256(await blobs.get(plan.digest))).toBe(plan.digest);
  });
});

describe('opening a bucket', () => {
  it.each([
    ['s3://Bucket', 'no name of a bucket'],
    ['s3://bucket/../x y', 'no prefix'],
    ['s3://bucket?endpoint=file:///etc/passwd', 'endpoint'],
    ['s3://bucket?enpoint=http://x', '"enpoint" is no option'],
    ['s3://AKIA:hush@bucket', 'credentials do not belong'],
    ['http://bucket', 'no s3:// URL'],
  ])('%s is refused', async (url, message) => {
    const refused = openS3Blobs(url);
    await expect(refused).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    await expect(refused).rejects.toThrow(message);
    await expect(refused).rejects.not.toThrow('hush');
  });

  it('a bucket that does not exist, and a server that is not there, say so without secrets', async () => {
    const s3 = await start();
    const absent = openS3Blobs(s3.url.replace('//bucket', '//other'), { maxAttempts: 1 });
    await expect(absent).rejects.toMatchObject({ code: 'STORAGE_FAILED', hint: 'Create the bucket first.' });
    await s3.close();
    const error = await openS3Blobs(s3.url, { maxAttempts: 1 }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'CONNECTION_FAILED' });
    expect(JSON.stringify(error) + String(error)).not.toContain('secret-for-tests');
  });
});

it('the fake itself refuses a body with another MD5', async () => {
  const s3 = await start();
  const endpoint = new URL(s3.url.replace(/^.*endpoint=/, ''));
  const answer = await fetch(new URL('/bucket/x', endpoint), {
    method: 'PUT',
    body: 'abc',
    headers: {
      authorization: 'AWS4-HMAC-SHA256 test',
      'content-md5': createHash('md5').update('abd').digest('base64'),
    },
  });
  expect(answer.status).toBe(400);
  expect(s3.objects.size).toBe(0);
});
