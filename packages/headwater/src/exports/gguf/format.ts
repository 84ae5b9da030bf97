/**
 * GGUF version 3 as bytes: metadata, tensor table, alignment (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md).
 * It knows no model and does no I/O.
 */

import { assert } from '../../base/errors.ts';
import { sizeOf } from '../../base/tensor.ts';

/** Codes of `gguf_metadata_value_type`. */
const VALUE_TYPES = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 } as const;

export type GgufValue =
  | { readonly type: 'uint32' | 'int32' | 'float32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'int32s'; readonly value: readonly number[] }
  | { readonly type: 'float32s'; readonly value: readonly number[] }
  | { readonly type: 'bools'; readonly value: readonly boolean[] };

export type GgufMetadata = ReadonlyMap<string, GgufValue>;

/** Code of `ggml_type`, and how many bytes a block of so many values takes. */
export const GGUF_TENSOR_TYPES = {
  f32: { code: 0, blockValues: 1, blockBytes: 4 },
  f16: { code: 1, blockValues: 1, blockBytes: 2 },
  q8_0: { code: 8, blockValues: 32, blockBytes: 34 },
  bf16: { code: 30, blockValues: 1, blockBytes: 2 },
} as const;

export type GgufTensorType = keyof typeof GGUF_TENSOR_TYPES;

export interface GgufTensorInfo {
  readonly name: string;
  readonly type: GgufTensorType;
  /** Row-major, outermost first, as everywhere here; the file has them the other way round. */
  readonly shape: readonly number[];
}

export interface GgufLayout {
  /** Everything before the data, padded. */
  readonly header: Uint8Array;
  readonly fileBytes: number;
}

const MAGIC = 'GGUF';
const VERSION = 3;
const ALIGNMENT = 32;
/** Longest tensor name that readers take. */
const MAX_NAME_BYTES = 63;

export function tensorBytes({ type, shape }: Pick<GgufTensorInfo, 'type' | 'shape'>): number {
  const { blockValues, blockBytes } = GGUF_TENSOR_TYPES[type];
  assert(
    (shape.at(-1) ?? 1) % blockValues === 0,
    `rows of ${shape.at(-1)} values are no whole ${type} blocks`,
  );
  return (sizeOf(shape) / blockValues) * blockBytes;
}

/** Zero bytes after so many, up to the next multiple of the alignment. */
export function paddingBytes(lengthBytes: number): number {
  return (ALIGNMENT - (lengthBytes % ALIGNMENT)) % ALIGNMENT;
}

/** Tensor data follow the header in the order of `tensors`, each padded to the alignment. */
export function layoutGguf(metadata: GgufMetadata, tensors: readonly GgufTensorInfo[]): GgufLayout {
  const out = new ByteWriter();
  out.ascii(MAGIC);
  out.uint32(VERSION);
  out.uint64(tensors.length);
  out.uint64(metadata.size);
  for (const [key, value] of metadata) {
    out.text(key);
    writeValue(out, value);
  }
  let at = 0;
  for (const tensor of tensors) {
    assert(Buffer.byteLength(tensor.name) <= MAX_NAME_BYTES, `the name ${tensor.name} is too long`);
    out.text(tensor.name);
    out.uint32(tensor.shape.length);
    for (const dim of [...tensor.shape].reverse()) out.uint64(dim);
    out.uint32(GGUF_TENSOR_TYPES[tensor.type].code);
    out.uint64(at);
    at += tensorBytes(tensor);
    at += paddingBytes(at);
  }
  out.zeros(paddingBytes(out.length));
  return { header: out.bytes(), fileBytes: out.length + at };
}

function writeValue(out: ByteWriter, item: GgufValue): void {
  if (item.type === 'strings') writeArray(out, 'string', item.value, (text) => out.text(text));
  else if (item.type === 'int32s') writeArray(out, 'int32', item.value, (value) => out.int32(value));
  else if (item.type === 'float32s') writeArray(out, 'float32', item.value, (value) => out.float32(value));
  else if (item.type === 'bools') writeArray(out, 'bool', item.value, (value) => out.bool(value));
  else writeScalar(out, item);
}

function writeScalar(
  out: ByteWriter,
  item: Exclude<GgufValue, { type: 'strings' | 'int32s' | 'float32s' | 'bools' }>,
): void {
  out.uint32(VALUE_TYPES[item.type]);
  if (item.type === 'string') out.text(item.value);
  else if (item.type === 'bool') out.bool(item.value);
  else out[item.type](item.value);
}

function writeArray<T>(
  out: ByteWriter,
  type: keyof typeof VALUE_TYPES,
  values: readonly T[],
  write: (value: T) => void,
): void {
  out.uint32(VALUE_TYPES.array);
  out.uint32(VALUE_TYPES[type]);
  out.uint64(values.length);
  for (const value of values) write(value);
}

/** Little-endian bytes in a buffer that grows. */
class ByteWriter {
  #buffer = new Uint8Array(1 << 16);
  #view = new DataView(this.#buffer.buffer);
  length = 0;

  #room(count: number): number {
    const at = this.length;
    if (at + count > this.#buffer.byteLength) {
      const grown = new Uint8Array(Math.max(2 * this.#buffer.byteLength, at + count));
      grown.set(this.#buffer);
      this.#buffer = grown;
      this.#view = new DataView(grown.buffer);
    }
    this.length += count;
    return at;
  }

  uint32(value: number): void {
    const at = this.#room(4);
    this.#view.setUint32(at, value, true);
  }

  int32(value: number): void {
    const at = this.#room(4);
    this.#view.setInt32(at, value, true);
  }

  float32(value: number): void {
    const at = this.#room(4);
    this.#view.setFloat32(at, value, true);
  }

  uint64(value: number): void {
    const at = this.#room(8);
    this.#view.setBigUint64(at, BigInt(value), true);
  }

  bool(value: boolean): void {
    const at = this.#room(1);
    this.#buffer[at] = value ? 1 : 0;
  }

  ascii(text: string): void {
    const bytes = new TextEncoder().encode(text);
    const at = this.#room(bytes.byteLength);
    this.#buffer.set(bytes, at);
  }

  /** UTF-8 with its length before it. */
  text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.uint64(bytes.byteLength);
    const at = this.#room(bytes.byteLength);
    this.#buffer.set(bytes, at);
  }

  zeros(count: number): void {
    this.#room(count);
  }

  bytes(): Uint8Array {
    return this.#buffer.slice(0, this.length);
  }
}
