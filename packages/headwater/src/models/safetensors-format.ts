/**
 * Facts of the safetensors format that reader and writer share: dtypes, names, the kinds of refusal. The format itself is
 * described at https://github.com/huggingface/safetensors.
 */

import { HeadwaterError } from '../base/errors.ts';
import type { DType } from '../base/tensor.ts';

/** Bits per element of every dtype the format names. */
export const FORMAT_BITS: ReadonlyMap<string, number> = new Map([
  ['F64', 64],
  ['F32', 32],
  ['F16', 16],
  ['BF16', 16],
  ['I64', 64],
  ['I32', 32],
  ['I16', 16],
  ['I8', 8],
  ['U64', 64],
  ['U32', 32],
  ['U16', 16],
  ['U8', 8],
  ['BOOL', 8],
  ['F8_E4M3', 8],
  ['F8_E5M2', 8],
  ['F8_E8M0', 8],
  ['C64', 64],
  ['F6_E2M3', 6],
  ['F6_E3M2', 6],
  ['F4', 4],
]);

export const FORMAT_NAMES: Record<DType, string> = {
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  int32: 'I32',
  int64: 'I64',
  int8: 'I8',
  uint8: 'U8',
  bool: 'BOOL',
};

export const DTYPES: ReadonlyMap<string, DType> = new Map(
  Object.entries(FORMAT_NAMES).map(([dtype, format]) => [format, dtype as DType]),
);

/**
 * `upload`: a file from a stranger; canonical form, plain names, finite values.
 * `model`: a checkpoint that the user chose; leading spaces in the header and unusual names are tolerated.
 */
export type SafetensorsMode = 'upload' | 'model';

export interface SafetensorsOptions {
  readonly mode: SafetensorsMode;
  /** File name for messages. */
  readonly where?: string;
}

/** Why a file was refused; messages of SAFETENSORS_INVALID begin with it. */
export type SafetensorsProblem =
  | 'HeaderTooSmall'
  | 'HeaderTooLarge'
  | 'InvalidHeaderLength'
  | 'InvalidHeaderUtf8'
  | 'InvalidHeaderStart'
  | 'InvalidHeaderJson'
  | 'InvalidHeaderSchema'
  | 'DuplicateKey'
  | 'ForbiddenName'
  | 'TooManyTensors'
  | 'TensorInvalidInfo'
  | 'InvalidOffset'
  | 'MetadataIncompleteBuffer'
  | 'ValidationOverflow'
  | 'RankTooLarge'
  | 'UnknownDtype'
  | 'NonFinite';

const PLAIN_NAME = /^[A-Za-z0-9_.\-/:]{1,256}$/;
const FORBIDDEN_NAMES: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

/** SAFETENSORS_INVALID, beginning with the problem. */
export function refuse(
  problem: SafetensorsProblem,
  detail: string,
  options: SafetensorsOptions,
): HeadwaterError {
  return new HeadwaterError('SAFETENSORS_INVALID', `${problem}: ${detail}`, {
    ...(options.where === undefined ? {} : { where: options.where }),
    hint: 'The file is damaged, incomplete or not safetensors; get or write it again.',
  });
}

/** Throws ForbiddenName for names that could be mistaken for paths, prototypes or control characters. */
export function checkName(name: string, options: SafetensorsOptions): void {
  const bad =
    FORBIDDEN_NAMES.has(name) ||
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused
    /[\u0000-\u001f\u007f]/.test(name) ||
    name.startsWith('/') ||
    name.split('/').includes('..') ||
    name === '' ||
    (options.mode === 'upload' && !PLAIN_NAME.test(name));
  if (bad) throw refuse('ForbiddenName', `tensor name ${JSON.stringify(name.slice(0, 256))}`, options);
}
