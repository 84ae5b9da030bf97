/**
 * safetensors in memory: tensors from bytes, bytes from tensors. It does no I/O (`safetensors-node.ts` does) and knows
 * no model; the header is parsed in `safetensors-header.ts`.
 */

import { firstNonFinite } from '../base/half.ts';
import {
  arrayFromBytes,
  bytesOf,
  type DType,
  type DTypeArrays,
  sizeOf,
  type Tensor,
  type TensorType,
  tensor,
} from '../base/tensor.ts';
import {
  checkName,
  FORMAT_BITS,
  FORMAT_NAMES,
  refuse,
  type SafetensorsOptions,
} from './safetensors-format.ts';
import { parseSafetensorsHeader, type SafetensorsEntry } from './safetensors-header.ts';

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
  /** Where each tensor begins, from the start of the file. */
  readonly starts: ReadonlyMap<string, number>;
  readonly fileBytes: number;
}

/** Where each tensor goes: widest elements first, then by name, so that every tensor is aligned and equal content gives equal bytes. */
export function layoutSafetensors(
  types: ReadonlyMap<string, TensorType>,
  metadata: ReadonlyMap<string, string> = PYTORCH,
): SafetensorsLayout {
  const formats = [...types].map(([name, { dtype, shape }]) => [
    name,
    { format: FORMAT_NAMES[dtype], shape },
  ]) satisfies [string, FormatType][];
  return layoutFormats(new Map(formats), metadata);
}

/** As in the format's own words: also for dtypes that are no tensors here (F64). */
export interface FormatType {
  readonly format: string;
  readonly shape: readonly number[];
}

export function layoutFormats(
  types: ReadonlyMap<string, FormatType>,
  metadata: ReadonlyMap<string, string>,
): SafetensorsLayout {
  const width = (name: string) => FORMAT_BITS.get(types.get(name)!.format)!;
  const order = [...types.keys()].sort((a, b) => width(b) - width(a) || (a < b ? -1 : 1));
  const document = new Map<string, unknown>();
  if (metadata.size > 0) document.set('__metadata__', Object.fromEntries([...metadata].sort()));
  const begins = new Map<string, number>();
  let at = 0;
  for (const name of order) {
    const { format, shape } = types.get(name)!;
    checkName(name, { mode: 'upload' });
    if (name === '__metadata__')
      throw refuse('ForbiddenName', 'tensor name "__metadata__"', { mode: 'upload' });
    const end = at + (sizeOf(shape) * width(name)) / 8;
    document.set(name, { dtype: format, shape, data_offsets: [at, end] });
    begins.set(name, at);
    at = end;
  }
  const json = JSON.stringify(Object.fromEntries(document));
  const header = encodeHeader(json);
  const starts = new Map([...begins].map(([name, begin]) => [name, header.byteLength + begin]));
  return { header, order, starts, fileBytes: header.byteLength + at };
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
