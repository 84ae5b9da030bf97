/**
 * The two files of an upload: `….data`, sparse, into which chunks are written where they belong, and `….chunks`, frames
 * with the plan and then index and SHA-256 of each whole chunk. Neither is flushed before the seal: what a list says after
 * a restart counts only as far as the bytes agree.
 */

import { createHash, type Hash } from 'node:crypto';
import type { UploadPlan } from './blobs.ts';
import type { Disk, DiskFile } from './disk.ts';
import { isMissing } from './disk-failures.ts';
import { readBlocks } from './disk-pieces.ts';
import { decodeFrames, encodeFrame } from './frames.ts';
import { chunkCount, chunkLength, samePlan } from './upload-plan.ts';

export interface Upload {
  readonly plan: UploadPlan;
  readonly dataPath: string;
  readonly listPath: string;
  /** SHA-256 of each whole chunk, by index. */
  readonly chunks: Map<number, string>;
  /** Of each chunk that is being written, the last attempt. */
  readonly attempts: Map<number, Attempt>;
  /** SHA-256 of the chunks before `next`, as far as they came in order. */
  running: { readonly hash: Hash; readonly next: number };
  /** Some chunks were written before a restart, or by another process that may still have the file open. */
  shared: boolean;
  /** Sealed, dropped or replaced: nothing may be written any more. */
  gone: boolean;
}

/** One sender's bytes for one chunk. A later attempt at the same chunk takes over and answers for both. */
export interface Attempt {
  later: Attempt | undefined;
  /** The write under way. */
  writing: Promise<void>;
  outcome: Promise<void>;
}

interface Mark {
  readonly index: number;
  readonly digest: string;
}

export function newUpload(folder: string, plan: UploadPlan): Upload {
  // Keys differ in case and may be names that a file system reserves; their digests do not.
  const name = `${folder}/${createHash('sha256').update(plan.key).digest('hex').slice(0, 40)}`;
  return {
    plan: { key: plan.key, digest: plan.digest, bytes: plan.bytes, chunkBytes: plan.chunkBytes },
    dataPath: `${name}.data`,
    listPath: `${name}.chunks`,
    chunks: new Map(),
    attempts: new Map(),
    running: { hash: createHash('sha256'), next: 0 },
    shared: false,
    gone: false,
  };
}

/** The plan of a list file; undefined when there is none, or none that is whole. */
export async function storedPlan(disk: Disk, listPath: string): Promise<UploadPlan | undefined> {
  return (await readList(disk, listPath)).plan;
}

async function readList(disk: Disk, listPath: string) {
  const bytes = await disk.read(listPath).catch((error: unknown) => {
    if (isMissing(error)) return new Uint8Array();
    throw error;
  });
  const { values, end } = decodeFrames(bytes);
  const [plan, ...marks] = values as [UploadPlan?, ...Mark[]];
  return { plan, marks, end, torn: end < bytes.byteLength };
}

export async function appendFrame(disk: Disk, path: string, value: unknown): Promise<void> {
  const file = await disk.open(path, 'append');
  try {
    await file.write(encodeFrame(value));
  } finally {
    await file.close();
  }
}

async function listedChunks(disk: Disk, upload: Upload): Promise<readonly Mark[]> {
  const { plan, marks, end, torn } = await readList(disk, upload.listPath);
  if (plan === undefined || !samePlan(plan, upload.plan)) return [];
  // Behind half a frame nothing could be read.
  if (torn) await disk.truncate(upload.listPath, end);
  return marks.filter(({ index }) => index < chunkCount(upload.plan));
}

/** All chunks were there, and their file is not: sealing was interrupted behind the rename. */
export async function isRenamed(disk: Disk, upload: Upload): Promise<boolean> {
  const count = chunkCount(upload.plan);
  if (count === 0 || (await disk.stat(upload.dataPath)) !== undefined) return false;
  const marks = await listedChunks(disk, upload);
  return new Set(marks.map(({ index }) => index)).size === count;
}

/** Takes over the listed chunks that this process has not seen (written before a restart, or by another) and that are whole. */
export async function takeOver(disk: Disk, upload: Upload): Promise<void> {
  const unseen = (await listedChunks(disk, upload)).filter(({ index }) => !upload.chunks.has(index));
  if (unseen.length === 0 || (await disk.stat(upload.dataPath)) === undefined) return;
  const file = await disk.open(upload.dataPath, 'read');
  try {
    for (const { index, digest } of unseen) {
      upload.shared = true;
      if ((await digestOfChunk(file, upload.plan, index)) === digest) upload.chunks.set(index, digest);
    }
  } finally {
    await file.close();
  }
}

async function digestOfChunk(file: DiskFile, plan: UploadPlan, index: number): Promise<string> {
  const begin = index * plan.chunkBytes;
  const hash = createHash('sha256');
  for await (const block of readBlocks(file, begin, begin + chunkLength(plan, index))) hash.update(block);
  return hash.digest('hex');
}
