/**
 * Parses a safetensors header from a stranger: every length, offset, shape and name is checked before it is used, and
 * every byte of the file must belong to exactly one tensor. It reads no tensor data.
 *
 * Layout: u64 little-endian N, N bytes of JSON, tensor data. `data_offsets` count from the end of the header.
 */

import { parseStrictJson, type StrictJsonFault } from '../base/strict-json.ts';
import type { DType } from '../base/tensor.ts';
import {
  checkName,
  DTYPES,
  FORMAT_BITS,
  refuse,
  type SafetensorsMode,
  type SafetensorsOptions,
  type SafetensorsProblem,
} from './safetensors-format.ts';

export interface SafetensorsEntry {
  readonly name: string;
  /** Dtype as the file spells it, e.g. `BF16`. */
  readonly format: string;
  /** Undefined for formats that Headwater cannot hold (F64, F8 …). */
  readonly dtype: DType | undefined;
  readonly shape: readonly number[];
  /** Counted from the start of the file. */
  readonly offsetBytes: number;
  readonly lengthBytes: number;
}

export interface SafetensorsHeader {
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: ReadonlyMap<string, string>;
  /** Where tensor data begin: 8 + N. */
  readonly dataOffsetBytes: number;
}

const MAX_HEADER_BYTES: Record<SafetensorsMode, number> = { upload: 16 * 1024 * 1024, model: 100_000_000 };
const MAX_TENSORS = 65_536;
const MAX_METADATA_CHARS = 65_536;
const MAX_RANK = 8;

/** Header size in bytes from the first 8 bytes of a file of `fileBytes` bytes (undefined: not known); throws SAFETENSORS_INVALID. */
export function safetensorsHeaderBytes(
  start: Uint8Array,
  fileBytes: number | undefined,
  options: SafetensorsOptions,
): number {
  if (start.byteLength < 8 || (fileBytes !== undefined && fileBytes < 8))
    throw refuse('HeaderTooSmall', `${fileBytes ?? start.byteLength} bytes, expected at least 8`, options);
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  const limit = MAX_HEADER_BYTES[options.mode];
  if (length > BigInt(limit))
    throw refuse('HeaderTooLarge', `header of ${length} bytes, at most ${limit} allowed`, options);
  if (fileBytes !== undefined && Number(length) + 8 > fileBytes)
    throw refuse('InvalidHeaderLength', `header of ${length} bytes in a file of ${fileBytes}`, options);
  return Number(length);
}

/**
 * Parses and validates the header. `bytes` holds at least the header (8 + N bytes), `fileBytes` is the size of the
 * whole file; undefined where it arrives as a stream, whose reader then checks the end. Every byte of the data must belong to exactly one tensor. Throws SAFETENSORS_INVALID.
 */
export function parseSafetensorsHeader(
  bytes: Uint8Array,
  fileBytes: number | undefined,
  options: SafetensorsOptions,
): SafetensorsHeader {
  const headerBytes = safetensorsHeaderBytes(bytes, fileBytes, options);
  const document = parseDocument(bytes.subarray(8, 8 + headerBytes), options);
  let metadata: ReadonlyMap<string, string> = new Map();
  const entries: SafetensorsEntry[] = [];
  for (const [name, value] of Object.entries(document)) {
    if (name === '__metadata__') metadata = parseMetadata(value, options);
    else entries.push(parseEntry(name, value, 8 + headerBytes, options));
  }
  checkCoverage(entries, 8 + headerBytes, fileBytes, options);
  return { entries: new Map(entries.map((e) => [e.name, e])), metadata, dataOffsetBytes: 8 + headerBytes };
}

const FAULTS: Record<StrictJsonFault, SafetensorsProblem> = {
  syntax: 'InvalidHeaderJson',
  'too-deep': 'InvalidHeaderSchema',
  'too-many-keys': 'TooManyTensors',
  'duplicate-key': 'DuplicateKey',
  'forbidden-key': 'ForbiddenName',
  'number-overflow': 'ValidationOverflow',
  'number-not-integer': 'InvalidHeaderSchema',
};

function parseDocument(header: Uint8Array, options: SafetensorsOptions): object {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header);
  } catch {
    throw refuse('InvalidHeaderUtf8', 'the header is not UTF-8', options);
  }
  if (options.mode === 'upload' && text !== '' && text[0] !== '{' && text.trimStart()[0] === '{')
    throw refuse('InvalidHeaderStart', 'the header must start with "{"', options);
  const parsed = parseStrictJson(text, { maxDepth: 4, maxKeys: MAX_TENSORS * 4 });
  if (!parsed.ok) throw refuse(FAULTS[parsed.fault], parsed.detail, options);
  const { value } = parsed;
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw refuse('InvalidHeaderJson', 'the header is no JSON object', options);
  if (Object.keys(value).length > MAX_TENSORS + 1)
    throw refuse('TooManyTensors', `more than ${MAX_TENSORS} tensors`, options);
  return value;
}

function parseMetadata(value: unknown, options: SafetensorsOptions): ReadonlyMap<string, string> {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw refuse('InvalidHeaderSchema', '__metadata__ is no object', options);
  const result = new Map<string, string>();
  let chars = 0;
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string')
      throw refuse('InvalidHeaderSchema', `__metadata__.${key} is no string`, options);
    chars += key.length + text.length;
    result.set(key, text);
  }
  if (options.mode === 'upload' && chars > MAX_METADATA_CHARS)
    throw refuse('HeaderTooLarge', `__metadata__ of ${chars} characters`, options);
  return result;
}

function parseEntry(
  name: string,
  value: unknown,
  dataOffsetBytes: number,
  options: SafetensorsOptions,
): SafetensorsEntry {
  checkName(name, options);
  const fail: Fail = (problem, detail) => refuse(problem, `tensor "${name}" ${detail}`, options);
  if (typeof value !== 'object' || value === null || Object.keys(value).sort().join() !== ENTRY_KEYS)
    throw fail('InvalidHeaderSchema', `must have exactly ${ENTRY_KEYS}`);
  const fields = value as Record<string, unknown>;
  const { format, bits } = parseFormat(fields.dtype, fail);
  const shape = parseShape(fields.shape, fail);
  const [begin, end] = parseOffsets(fields.data_offsets, fail);
  const totalBits = checkedProduct([...shape, bits]);
  if (totalBits === undefined) throw fail('ValidationOverflow', `has shape [${shape}], too large`);
  if (totalBits % 8 !== 0 || totalBits / 8 !== end - begin)
    throw fail(
      'TensorInvalidInfo',
      `is ${format} [${shape}] = ${totalBits / 8} bytes, but has ${end - begin}`,
    );
  const dtype = DTYPES.get(format);
  return { name, format, dtype, shape, offsetBytes: dataOffsetBytes + begin, lengthBytes: end - begin };
}

type Fail = (problem: SafetensorsProblem, detail: string) => Error;
const ENTRY_KEYS = 'data_offsets,dtype,shape';

function parseFormat(format: unknown, fail: Fail): { format: string; bits: number } {
  if (typeof format !== 'string') throw fail('InvalidHeaderSchema', 'has a dtype that is no string');
  const bits = FORMAT_BITS.get(format);
  if (bits !== undefined) return { format, bits };
  const known = [...FORMAT_BITS.keys()].join(' ');
  throw fail('UnknownDtype', `has dtype ${JSON.stringify(format.slice(0, 40))}, known: ${known}`);
}

function parseShape(shape: unknown, fail: Fail): readonly number[] {
  if (!isIntegers(shape)) throw fail('InvalidHeaderSchema', 'has a shape that is no list of integers');
  if (shape.length > MAX_RANK) throw fail('RankTooLarge', `has rank ${shape.length}, at most ${MAX_RANK}`);
  return shape;
}

function parseOffsets(offsets: unknown, fail: Fail): readonly [number, number] {
  if (!isIntegers(offsets) || offsets.length !== 2)
    throw fail('InvalidHeaderSchema', 'has data_offsets that are not two integers');
  const [begin, end] = offsets as [number, number];
  if (end < begin) throw fail('InvalidOffset', `ends (${end}) before it begins (${begin})`);
  return [begin, end];
}

/** All numbers of the document are safe non-negative integers already (strict JSON). */
function isIntegers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'number');
}

function checkedProduct(factors: readonly number[]): number | undefined {
  if (factors.includes(0)) return 0;
  let product = 1;
  for (const factor of factors) {
    product *= factor;
    if (!Number.isSafeInteger(product)) return undefined;
  }
  return product;
}

/** No holes, no overlap, nothing behind the last tensor. */
function checkCoverage(
  entries: readonly SafetensorsEntry[],
  dataOffsetBytes: number,
  fileBytes: number | undefined,
  options: SafetensorsOptions,
): void {
  let at = dataOffsetBytes;
  const ordered = [...entries].sort((a, b) => a.offsetBytes - b.offsetBytes || a.lengthBytes - b.lengthBytes);
  for (const entry of ordered) {
    if (entry.offsetBytes !== at)
      throw refuse(
        'InvalidOffset',
        `tensor "${entry.name}" begins at ${entry.offsetBytes - dataOffsetBytes}, expected ${at - dataOffsetBytes}`,
        options,
      );
    at += entry.lengthBytes;
  }
  if (fileBytes !== undefined && at !== fileBytes)
    throw refuse(
      'MetadataIncompleteBuffer',
      `the header describes ${at} bytes, the file has ${fileBytes}`,
      options,
    );
}
