/** Blobs in memory, for tests and throw-away runs. They keep nothing. */

import { createHash } from 'node:crypto';
import { type Clock, systemClock } from '../base/clock.ts';
import type { Blobs, ByteRange, UploadPlan, Uploads } from './blobs.ts';
import { runCorrupt } from './failures.ts';
import {
  assertDigest,
  checkComplete,
  checkKey,
  checkPlan,
  chunkCount,
  chunkLength,
  samePlan,
  uploadInvalid,
  uploadUnknown,
} from './upload-plan.ts';

const PIECE_BYTES = 2 ** 20;

export function memoryBlobs(options: { readonly clock?: Clock } = {}): Blobs {
  const stored = new Map<string, Uint8Array>();
  const put = (bytes: Uint8Array): string => {
    const digest = sha256(bytes);
    if (!stored.has(digest)) stored.set(digest, bytes.slice());
    return digest;
  };
  const found = (digest: string): Uint8Array => {
    assertDigest(digest);
    const bytes = stored.get(digest);
    if (bytes === undefined) throw runCorrupt(`blob ${digest} is missing`, 'memory');
    return bytes;
  };
  return {
    put: async (bytes) => put(bytes),
    putStream: async (source) => put(await gathered(source)),
    get: async (digest) => found(digest).slice(),
    stream: (digest, range) => pieces(() => found(digest), range),
    has: async (digest) => stored.has(digest),
    size: async (digest) => stored.get(digest)?.byteLength,
    async delete(digest) {
      assertDigest(digest);
      stored.delete(digest);
    },
    list: async () => [...stored.keys()].sort(),
    uploads: memoryUploads(stored, options.clock ?? systemClock),
  };
}

async function* pieces(find: () => Uint8Array, range?: ByteRange): AsyncGenerator<Uint8Array> {
  const bytes = find();
  const begin = range?.offset ?? 0;
  const end = Math.min(bytes.byteLength, begin + (range?.length ?? bytes.byteLength));
  for (let at = begin; at < end; at += PIECE_BYTES) yield bytes.slice(at, Math.min(end, at + PIECE_BYTES));
}

async function gathered(source: AsyncIterable<Uint8Array>, most = Number.POSITIVE_INFINITY): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of source) {
    parts.push(piece.slice());
    bytes += piece.byteLength;
    if (bytes > most) break;
  }
  return Buffer.concat(parts);
}

interface Upload {
  readonly plan: UploadPlan;
  readonly chunks: Map<number, Uint8Array>;
  modifiedMs: number;
}

function memoryUploads(stored: Map<string, Uint8Array>, clock: Clock): Uploads {
  const uploads = new Map<string, Upload>();
  return {
    async open(plan) {
      checkPlan(plan);
      const known = uploads.get(plan.key);
      if (known !== undefined && samePlan(known.plan, plan))
        return [...known.chunks.keys()].sort((a, b) => a - b);
      uploads.set(plan.key, { plan: { ...plan }, chunks: new Map(), modifiedMs: clock.nowMs() });
      return [];
    },
    async putChunk(key, index, digest, source) {
      checkKey(key);
      const upload = uploads.get(key);
      if (upload === undefined) throw uploadUnknown(key);
      const length = chunkLength(upload.plan, index);
      const bytes = await gathered(source, length);
      if (bytes.byteLength !== length)
        throw uploadInvalid(key, `chunk ${index} has another length than ${length} bytes`);
      if (sha256(bytes) !== digest) throw uploadInvalid(key, `chunk ${index} has another SHA-256`);
      if (uploads.get(key) !== upload) throw uploadUnknown(key);
      upload.chunks.set(index, bytes);
      upload.modifiedMs = clock.nowMs();
    },
    async seal(plan) {
      checkPlan(plan);
      const upload = uploads.get(plan.key);
      const open = upload !== undefined && samePlan(upload.plan, plan) ? upload : undefined;
      if (open === undefined && stored.has(plan.digest)) return plan.digest;
      checkComplete(plan, (index) => open?.chunks.has(index) ?? false);
      const chunks = open?.chunks ?? new Map<number, Uint8Array>();
      const whole = Buffer.concat(
        Array.from({ length: chunkCount(plan) }, (_, index) => chunks.get(index) as Uint8Array),
      );
      uploads.delete(plan.key);
      if (sha256(whole) !== plan.digest) throw uploadInvalid(plan.key, 'the whole has another SHA-256');
      stored.set(plan.digest, whole);
      return plan.digest;
    },
    async drop(key) {
      checkKey(key);
      uploads.delete(key);
    },
    list: async () =>
      [...uploads.values()].map(({ plan, modifiedMs }) => ({ key: plan.key, bytes: plan.bytes, modifiedMs })),
  };
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
