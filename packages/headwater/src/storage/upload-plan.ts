/**
 * The arithmetic of an announced upload, the one check of what a sender announces, and how a wrong upload is refused.
 * It stores nothing. Keys become parts of file and object names elsewhere: anything but a plain name is refused here.
 */

import { assert, HeadwaterError } from '../base/errors.ts';
import type { UploadPlan } from './blobs.ts';

const KEY = /^[A-Za-z0-9._-]{1,200}$/;
const DIGEST = /^[0-9a-f]{64}$/;

export function isDigest(text: string): boolean {
  return DIGEST.test(text);
}

/** Names of blobs become names of files: anything else than a digest here is our own mistake. */
export function assertDigest(text: string): void {
  assert(isDigest(text), `"${text}" is no SHA-256`);
}

/** Throws UPLOAD_INVALID when the key is no plain name, the digest no SHA-256, or a size no size. */
export function checkPlan(plan: UploadPlan): void {
  checkKey(plan.key);
  if (!isDigest(plan.digest)) throw uploadInvalid(plan.key, `"${plan.digest}" is no SHA-256`);
  if (!Number.isSafeInteger(plan.bytes) || plan.bytes < 0)
    throw uploadInvalid(plan.key, `${plan.bytes} is no number of bytes`);
  if (!Number.isSafeInteger(plan.chunkBytes) || plan.chunkBytes < 1)
    throw uploadInvalid(plan.key, `${plan.chunkBytes} is no size of a chunk`);
}

export function checkKey(key: string): void {
  if (!KEY.test(key)) throw uploadInvalid(key, 'the key may have 1–200 characters of A-Z a-z 0-9 . _ -');
}

export function samePlan(a: UploadPlan, b: UploadPlan): boolean {
  return a.key === b.key && a.digest === b.digest && a.bytes === b.bytes && a.chunkBytes === b.chunkBytes;
}

export function chunkCount(plan: UploadPlan): number {
  return Math.ceil(plan.bytes / plan.chunkBytes);
}

/** Bytes of a chunk; only the last one may be shorter. Throws UPLOAD_INVALID when the plan has no such chunk. */
export function chunkLength(plan: UploadPlan, index: number): number {
  const count = chunkCount(plan);
  if (!Number.isInteger(index) || index < 0 || index >= count)
    throw uploadInvalid(plan.key, `there is no chunk ${index}: ${plan.bytes} bytes make ${count} chunks`);
  return Math.min(plan.chunkBytes, plan.bytes - index * plan.chunkBytes);
}

/** Throws UPLOAD_INVALID naming the first chunks that are not there. */
export function checkComplete(plan: UploadPlan, has: (index: number) => boolean): void {
  const missing = Array.from({ length: chunkCount(plan) }, (_, index) => index).filter((i) => !has(i));
  if (missing.length === 0) return;
  const shown = missing.slice(0, 5).join(', ') + (missing.length > 5 ? ', …' : '');
  throw uploadInvalid(plan.key, `${missing.length} of ${chunkCount(plan)} chunks are missing: ${shown}`);
}

export function uploadInvalid(key: string, message: string): HeadwaterError {
  return new HeadwaterError('UPLOAD_INVALID', message, { where: `upload "${key}"` });
}

export function uploadUnknown(key: string): HeadwaterError {
  return new HeadwaterError('UPLOAD_UNKNOWN', 'there is no such upload', {
    where: `upload "${key}"`,
    hint: 'Open the upload again; the answer names the chunks that are there.',
  });
}
