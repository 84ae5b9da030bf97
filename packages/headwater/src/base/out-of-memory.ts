/** Allocations that failed, whoever asked for them: ONNX Runtime, V8 or a worker thread. One error says what to change. */

import { HeadwaterError, messageOf } from './errors.ts';

const ALLOCATION_FAILED =
  /bad_alloc|failed to allocate memory|array buffer allocation failed|invalid (array buffer|typed array) length|out of memory|memory limit/i;

/** Whether an error is a failed allocation, by code or by what its text says. */
export function isOutOfMemory(cause: unknown): boolean {
  const code = (cause as { code?: unknown } | null | undefined)?.code;
  if (code === 'ENOMEM' || code === 'ERR_WORKER_OUT_OF_MEMORY') return true;
  return ALLOCATION_FAILED.test(messageOf(cause));
}

/** `what` could not be done. The bytes asked for are named where the cause names them. */
export function outOfMemory(what: string, cause: unknown): HeadwaterError {
  const bytes = /requested buffer of size (\d+)/.exec(messageOf(cause))?.[1];
  const asked = bytes === undefined ? '' : ` (${Math.round(Number(bytes) / 2 ** 20)} MB more were asked for)`;
  return new HeadwaterError('OUT_OF_MEMORY', `${what}: the memory is too small${asked}`, {
    hint: 'Lower training.microBatchSize or data.maxLength, set training.recompute: true or quantization.kind: int8 (int4), or give fewer workers; `headwater plan` estimates what is needed.',
    cause,
  });
}
