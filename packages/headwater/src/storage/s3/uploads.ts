/**
 * Uploads over S3. Every chunk is an object of its own, `uploads/u-KEY/DIGEST-BYTES-CHUNKBYTES/INDEX`, so that any process
 * sees what is there from one listing; sealing streams the chunks through the digest into the blob. What crashes left
 * behind (uploads, unfinished multiparts, staged objects) is listed here too, for whoever clears up.
 */

import { createHash } from 'node:crypto';
import type { Timers } from '../../base/clock.ts';
import type { UploadPlan, Uploads } from '../blobs.ts';
import {
  checkComplete,
  checkKey,
  checkPlan,
  chunkCount,
  chunkLength,
  samePlan,
  uploadInvalid,
  uploadUnknown,
} from '../upload-plan.ts';
import type { Bucket } from './bucket.ts';
import { leftovers } from './leftovers.ts';
import { readObject } from './read.ts';
import { blobName, type PartSizes, storeStream, WrongDigest } from './write.ts';

const UPLOADS = 'uploads/';
const MARKER = 'plan';

/** An upload as the listing shows it. */
interface Found {
  readonly plan: UploadPlan;
  readonly chunks: ReadonlySet<number>;
  readonly modifiedMs: number;
  /** False for chunks that a crash left behind. */
  readonly begun: boolean;
}

export function bucketUploads(bucket: Bucket, timers: Timers, sizes: PartSizes): Uploads {
  const left = leftovers(bucket);
  const find = async (key: string) =>
    (await findUploads(bucket, folderOf(key))).findLast(({ begun }) => begun);
  const drop = (prefix: string) => deleteAll(bucket, prefix);

  async function seal(plan: UploadPlan): Promise<string> {
    checkPlan(plan);
    const found = await find(plan.key);
    const open = found !== undefined && samePlan(found.plan, plan) ? found : undefined;
    if (open === undefined && (await bucket.size(blobName(plan.digest))) !== undefined) return plan.digest;
    checkComplete(plan, (index) => open?.chunks.has(index) ?? false);
    try {
      await storeStream(bucket, chunksOf(bucket, timers, plan), sizes, plan.digest);
    } catch (error) {
      if (error instanceof WrongDigest) {
        await drop(folderOf(plan.key));
        throw uploadInvalid(plan.key, 'the whole has another SHA-256');
      }
      // Another process may have sealed it meanwhile and taken the chunks away.
      if ((await bucket.size(blobName(plan.digest))) === undefined) throw error;
    }
    await drop(folderOf(plan.key));
    return plan.digest;
  }

  return {
    async open(plan) {
      checkPlan(plan);
      const found = await find(plan.key);
      if (found !== undefined && samePlan(found.plan, plan)) return [...found.chunks].sort((a, b) => a - b);
      await drop(folderOf(plan.key));
      await bucket.put(planFolder(plan) + MARKER, new Uint8Array(0));
      return [];
    },
    async putChunk(key, index, digest, source) {
      checkKey(key);
      const found = await find(key);
      if (found === undefined) throw uploadUnknown(key);
      const length = chunkLength(found.plan, index);
      const bytes = await atMost(source, length);
      if (bytes.byteLength !== length)
        throw uploadInvalid(key, `chunk ${index} has another length than ${length} bytes`);
      if (createHash('sha256').update(bytes).digest('hex') !== digest)
        throw uploadInvalid(key, `chunk ${index} has another SHA-256`);
      const name = planFolder(found.plan) + index;
      await bucket.put(name, bytes);
      if ((await bucket.size(planFolder(found.plan) + MARKER)) !== undefined) return;
      // Dropped or sealed while the chunk was on its way.
      await bucket.delete(name);
      throw uploadUnknown(key);
    },
    seal,
    async drop(key) {
      if (await left.drop(key)) return;
      checkKey(key);
      await drop(folderOf(key));
    },
    async list() {
      const found = await findUploads(bucket, UPLOADS);
      const open = found.map(({ plan, modifiedMs }) => ({ key: plan.key, bytes: plan.bytes, modifiedMs }));
      return [...open, ...(await left.list())];
    },
  };
}

// "u-": a key may be "..", which some HTTP libraries would resolve.
const folderOf = (key: string) => `${UPLOADS}u-${key}/`;

function planFolder({ key, digest, bytes, chunkBytes }: UploadPlan): string {
  return `${folderOf(key)}${digest}-${bytes}-${chunkBytes}/`;
}

const OBJECT = /^uploads\/u-([^/]+)\/([0-9a-f]{64})-(\d+)-(\d+)\/(plan|\d+)$/;

async function findUploads(bucket: Bucket, prefix: string): Promise<Found[]> {
  const found = new Map<
    string,
    { plan: UploadPlan; chunks: Set<number>; modifiedMs: number; begun: boolean }
  >();
  for await (const { name, bytes, modifiedMs } of bucket.list(prefix)) {
    const [, key, digest, whole, chunk, part] = OBJECT.exec(name) ?? [];
    if (key === undefined || digest === undefined) continue;
    const plan = { key, digest, bytes: Number(whole), chunkBytes: Number(chunk) };
    const upload = found.get(planFolder(plan)) ?? { plan, chunks: new Set(), modifiedMs: 0, begun: false };
    found.set(planFolder(plan), upload);
    upload.modifiedMs = Math.max(upload.modifiedMs, modifiedMs);
    if (part === MARKER) upload.begun = true;
    else if (isChunk(plan, Number(part), bytes)) upload.chunks.add(Number(part));
  }
  return [...found.values()];
}

function isChunk(plan: UploadPlan, index: number, bytes: number): boolean {
  return index < chunkCount(plan) && bytes === chunkLength(plan, index);
}

async function* chunksOf(bucket: Bucket, timers: Timers, plan: UploadPlan): AsyncGenerator<Uint8Array> {
  for (let index = 0; index < chunkCount(plan); index++)
    yield* readObject(bucket, timers, planFolder(plan) + index);
}

async function atMost(source: AsyncIterable<Uint8Array>, most: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of source) {
    pieces.push(piece);
    bytes += piece.byteLength;
    if (bytes > most) break;
  }
  return Buffer.concat(pieces);
}

/** The marker last: an upload that is half deleted must not look like one without chunks. */
async function deleteAll(bucket: Bucket, prefix: string): Promise<void> {
  const names: string[] = [];
  for await (const { name } of bucket.list(prefix)) names.push(name);
  const isMarker = (name: string) => name.endsWith(`/${MARKER}`);
  for (const name of names.filter(isMarker)) await bucket.delete(name);
  for (const name of names.filter((other) => !isMarker(other))) await bucket.delete(name);
}
