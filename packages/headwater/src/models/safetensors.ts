/**
 * The safetensors format in memory: header parsing that trusts nothing, tensors from bytes, bytes from tensors.
 * It does no I/O (`safetensors-node.ts` does) and knows no model.
 *
 * Layout: u64 little-endian N, N bytes of JSON, tensor data. `data_offsets` count from the end of the header.
 */

import { HeadwaterError } from '../base/errors.ts';
import { firstNonFinite } from '../base/half.ts';
import { parseStrictJson, type StrictJsonFault } from '../base/strict-json.ts';
import {
  arrayFromBytes,
  bytesOf,
  type DType,
  type DTypeArrays,
  sizeBytes,
  type Tensor,
  type TensorType,
  tensor,
} from '../base/tensor.ts';

/** Bits per element of every dtype the format names. */
const FORMAT_BITS: ReadonlyMap<string, number> = new Map([
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

const FORMAT_NAMES: Record<DType, string> = {
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  int32: 'I32',
  int64: 'I64',
  int8: 'I8',
  uint8: 'U8',
  bool: 'BOOL',
};

const DTYPES: ReadonlyMap<string, DType> = new Map(
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
type SafetensorsProblem =
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
const PLAIN_NAME = /^[A-Za-z0-9_.\-/:]{1,256}$/;
const FORBIDDEN_NAMES: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

function refuse(problem: SafetensorsProblem, detail: string, options: SafetensorsOptions): HeadwaterError {
  return new HeadwaterError('SAFETENSORS_INVALID', `${problem}: ${detail}`, {
    ...(options.where === undefined ? {} : { where: options.where }),
    hint: 'The file is damaged, incomplete or not safetensors; get or write it again.',
  });
}

/** Header size in bytes from the first 8 bytes of a file of `fileBytes` bytes; throws SAFETENSORS_INVALID. */
export function safetensorsHeaderBytes(
  start: Uint8Array,
  fileBytes: number,
  options: SafetensorsOptions,
): number {
  if (fileBytes < 8 || start.byteLength < 8)
    throw refuse('HeaderTooSmall', `${fileBytes} bytes, expected at least 8`, options);
  const length = new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true);
  const limit = MAX_HEADER_BYTES[options.mode];
  if (length > BigInt(limit))
    throw refuse('HeaderTooLarge', `header of ${length} bytes, at most ${limit} allowed`, options);
  if (Number(length) + 8 > fileBytes)
    throw refuse('InvalidHeaderLength', `header of ${length} bytes in a file of ${fileBytes}`, options);
  return Number(length);
}

/**
 * Parses and validates the header. `bytes` holds at least the header (8 + N bytes), `fileBytes` is the size of the
 * whole file. Every byte of the data must belong to exactly one tensor. Throws SAFETENSORS_INVALID.
 */
export function parseSafetensorsHeader(
  bytes: Uint8Array,
  fileBytes: number,
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

function checkName(name: string, options: SafetensorsOptions): void {
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

function parseEntry(
  name: string,
  value: unknown,
  dataOffsetBytes: number,
  options: SafetensorsOptions,
): SafetensorsEntry {
  checkName(name, options);
  const fail = (problem: SafetensorsProblem, detail: string) =>
    refuse(problem, `tensor "${name}" ${detail}`, options);
  if (typeof value !== 'object' || value === null || Object.keys(value).sort().join() !== ENTRY_KEYS)
    throw fail('InvalidHeaderSchema', `must have exactly ${ENTRY_KEYS}`);
  const { dtype: format, shape, data_offsets: offsets } = value as Record<string, unknown>;
  if (typeof format !== 'string') throw fail('InvalidHeaderSchema', 'has a dtype that is no string');
  const bits = FORMAT_BITS.get(format);
  if (bits === undefined)
    throw fail(
      'UnknownDtype',
      `has dtype ${JSON.stringify(format.slice(0, 40))}, known: ${[...FORMAT_BITS.keys()].join(' ')}`,
    );
  if (!isIntegers(shape)) throw fail('InvalidHeaderSchema', 'has a shape that is no list of integers');
  if (shape.length > MAX_RANK) throw fail('RankTooLarge', `has rank ${shape.length}, at most ${MAX_RANK}`);
  if (!isIntegers(offsets) || offsets.length !== 2)
    throw fail('InvalidHeaderSchema', 'has data_offsets that are not two integers');
  const [begin, end] = offsets as [number, number];
  if (end < begin) throw fail('InvalidOffset', `ends (${end}) before it begins (${begin})`);
  const totalBits = checkedProduct([...shape, bits]);
  if (totalBits === undefined) throw fail('ValidationOverflow', `has shape [${shape}], too large`);
  if (totalBits % 8 !== 0 || totalBits / 8 !== end - begin)
    throw fail(
      'TensorInvalidInfo',
      `is ${format} [${shape}] = ${totalBits / 8} bytes, but has ${end - begin}`,
    );
  return {
    name,
    format,
    dtype: DTYPES.get(format),
    shape,
    offsetBytes: dataOffsetBytes + begin,
    lengthBytes: end - begin,
  };
}

const ENTRY_KEYS = 'data_offsets,dtype,shape';

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
  fileBytes: number,
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
  if (at !== fileBytes)
    throw refuse(
      'MetadataIncompleteBuffer',
      `the header describes ${at} bytes, the file has ${fileBytes}`,
      options,
    );
}

export interface SafetensorsContent {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * A whole file in memory as tensors (views where alignment allows). In `upload` mode NaN and Inf are refused.
 * Throws SAFETENSORS_INVALID, also for dtypes that Headwater cannot hold.
 */
export function parseSafetensors(bytes: Uint8Array, options: SafetensorsOptions): SafetensorsContent {
  const header = parseSafetensorsHeader(bytes, bytes.byteLength, options);
  const tensors = new Map<string, Tensor>();
  for (const entry of header.entries.values()) {
    const data = bytes.subarray(entry.offsetBytes, entry.offsetBytes + entry.lengthBytes);
    tensors.set(entry.name, tensorOf(entry, data, options));
  }
  return { tensors, metadata: header.metadata };
}

/** One entry's bytes as a tensor; throws SAFETENSORS_INVALID for unsupported dtypes and, in `upload` mode, NaN/Inf. */
export function tensorOf(entry: SafetensorsEntry, data: Uint8Array, options: SafetensorsOptions): Tensor {
  if (entry.dtype === undefined)
    throw refuse(
      'UnknownDtype',
      `tensor "${entry.name}" has dtype ${entry.format}, not supported here`,
      options,
    );
  const value = tensor(entry.dtype, entry.shape, arrayFromBytes(entry.dtype, data) as DTypeArrays[DType]);
  const bad = options.mode === 'upload' ? firstNonFinite(value) : -1;
  if (bad >= 0) throw refuse('NonFinite', `tensor "${entry.name}" has NaN or Inf at element ${bad}`, options);
  return value;
}

export interface SafetensorsLayout {
  /** The 8 length bytes and the JSON, padded with spaces to a multiple of 8. */
  readonly header: Uint8Array;
  /** Tensor names in file order. */
  readonly order: readonly string[];
  readonly fileBytes: number;
}

/** Where each tensor goes: widest elements first, then by name, so that every tensor is aligned and equal content gives equal bytes. */
export function layoutSafetensors(
  types: ReadonlyMap<string, TensorType>,
  metadata: ReadonlyMap<string, string> = PYTORCH,
): SafetensorsLayout {
  const width = (name: string) => FORMAT_BITS.get(FORMAT_NAMES[types.get(name)!.dtype])!;
  const order = [...types.keys()].sort((a, b) => width(b) - width(a) || (a < b ? -1 : 1));
  const document = new Map<string, unknown>();
  if (metadata.size > 0) document.set('__metadata__', Object.fromEntries([...metadata].sort()));
  let at = 0;
  for (const name of order) {
    const type = types.get(name)!;
    checkName(name, { mode: 'upload' });
    if (name === '__metadata__')
      throw refuse('ForbiddenName', 'tensor name "__metadata__"', { mode: 'upload' });
    const end = at + sizeBytes(type);
    document.set(name, { dtype: FORMAT_NAMES[type.dtype], shape: type.shape, data_offsets: [at, end] });
    at = end;
  }
  const json = JSON.stringify(Object.fromEntries(document));
  const header = encodeHeader(json);
  return { header, order, fileBytes: header.byteLength + at };
}

/** transformers and PEFT ask for this entry. */
const PYTORCH: ReadonlyMap<string, string> = new Map([['format', 'pt']]);

function encodeHeader(json: string): Uint8Array {
  const text = new TextEncoder().encode(json);
  const length = Math.ceil(text.byteLength / 8) * 8;
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(text, 8);
  return header;
}

/** A whole file in memory. The same tensors and metadata give the same bytes, whatever the map's order. */
export function writeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata?: ReadonlyMap<string, string>,
): Uint8Array {
  const { header, order, fileBytes } = layoutSafetensors(tensors, metadata);
  const file = new Uint8Array(fileBytes);
  file.set(header);
  let at = header.byteLength;
  for (const name of order) {
    const bytes = bytesOf(tensors.get(name)!.data);
    file.set(bytes, at);
    at += bytes.byteLength;
  }
  return file;
}
