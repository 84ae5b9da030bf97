/**
 * Reads an encoded update from bytes that arrive in pieces and gives its decoded values, checked: format, encoding, names,
 * shapes, finite values. Memory stays that of a piece (and of a tensor's scales or indices). Nothing is summed here.
 */

import { HeadwaterError } from '../base/errors.ts';
import {
  arrayFromBytes,
  bytesOf,
  type Params,
  sameShape,
  sizeOf,
  type Tensor,
  type TensorData,
  tensor,
  zeros,
} from '../base/tensor.ts';
import type { SafetensorsEntry, SafetensorsHeader } from '../models/safetensors-header.ts';
import { createSafetensorsReader } from '../models/safetensors-stream.ts';
import type { TrainableTensor } from '../tuning/kind.ts';
import type { BoundCompression, EncodedPart } from './compression/compression.ts';
import { encodingOf } from './compression/encode.ts';
import type { RejectionCode } from './events.ts';

/** An update that is not what it should be: for the sender, not for the run. */
export class UpdateFault extends Error {
  override readonly name = 'UpdateFault';
  readonly code: RejectionCode;

  constructor(code: RejectionCode, reason: string) {
    super(reason);
    this.code = code;
  }
}

/**
 * Values of the elements `begin`, `begin` + 1 … of `expected[index]`, or of the elements in `indices`; all finite,
 * `largest` is the largest magnitude. The arrays are valid until the call returns.
 */
export type OnValues = (
  index: number,
  begin: number,
  values: Float32Array,
  indices: Int32Array | undefined,
  largest: number,
) => void;

/** Elements given at once: 32 KiB stay in the first-level cache from the check to the sum. */
const BLOCK = 8192;

export interface UpdateReader {
  push(piece: Uint8Array): void;
  end(): void;
}

/** `expected`: the tensors that travel in the round. Both calls throw UpdateFault. */
export function createUpdateReader(
  expected: readonly TrainableTensor[],
  compression: BoundCompression,
  onValues: OnValues,
): UpdateReader {
  const parts = partsOf(expected, compression);
  const sides = new Map<number, Side>();
  const sink = {
    header(header: SafetensorsHeader) {
      checkHeader(header, expected, compression, parts);
    },
    data(entry: SafetensorsEntry, offsetBytes: number, bytes: Uint8Array) {
      const { index, role, part } = parts.get(entry.name)!;
      if (role === 'side') return readSide(index, part, bytes);
      readMain(index, entry, offsetBytes, bytes);
    },
  };
  const reader = createSafetensorsReader(sink, { mode: 'upload' });

  function readSide(index: number, part: EncodedPart, bytes: Uint8Array): void {
    const side = sides.get(index) ?? emptySide(part);
    sides.set(index, side);
    side.bytes.set(bytes, side.filled);
    side.filled += bytes.byteLength;
    if (side.filled < side.bytes.byteLength) return;
    const { name, shape } = expected[index]!;
    const defect = compression.sideDefect(side.values, shape);
    if (defect !== undefined) throw new UpdateFault('format', `tensor "${name}": ${defect}`);
  }

  function readMain(index: number, entry: SafetensorsEntry, offsetBytes: number, bytes: Uint8Array): void {
    const main = arrayFromBytes(entry.dtype!, bytes);
    const begin = offsetBytes / main.BYTES_PER_ELEMENT;
    const { values, indices } = compression.decode(main, begin, sides.get(index)?.values);
    for (let at = 0; at < values.length; at += BLOCK)
      giveBlock(
        index,
        begin + at,
        values.subarray(at, at + BLOCK),
        indices?.subarray(at, Math.min(at + BLOCK, values.length)),
      );
    // The last piece of a tensor: its scales or indices are not needed any more.
    if (offsetBytes + bytes.byteLength === entry.lengthBytes) sides.delete(index);
  }

  function giveBlock(
    index: number,
    begin: number,
    values: Float32Array,
    indices: Int32Array | undefined,
  ): void {
    const largest = largestMagnitude(values);
    if (Number.isFinite(largest)) {
      onValues(index, begin, values, indices, largest);
      return;
    }
    const bad = values.findIndex((value) => !Number.isFinite(value));
    const where = `"${expected[index]!.name}" has ${values[bad]} at element ${indices?.[bad] ?? begin + bad}`;
    throw new UpdateFault('not-finite', `NonFinite: tensor ${where}`);
  }

  return { push: (piece) => faulty(() => reader.push(piece)), end: () => faulty(() => reader.end()) };
}

/** A whole update in memory. Throws UpdateFault. */
export function decodeUpdate(
  bytes: Uint8Array,
  expected: readonly TrainableTensor[],
  compression: BoundCompression,
): Params {
  const entries = expected.map(({ name, shape }): [string, Tensor<'float32'>] => [
    name,
    tensor('float32', shape, new Float32Array(sizeOf(shape))),
  ]);
  const reader = createUpdateReader(expected, compression, (index, begin, values, indices) => {
    const { data } = entries[index]![1];
    if (indices === undefined) data.set(values, begin);
    else for (let i = 0; i < values.length; i++) data[indices[i]!] = values[i]!;
  });
  reader.push(bytes);
  reader.end();
  return new Map(entries);
}

interface Side {
  readonly bytes: Uint8Array;
  readonly values: TensorData;
  filled: number;
}

function emptySide({ type }: EncodedPart): Side {
  const { data } = zeros(type.dtype, type.shape);
  return { bytes: bytesOf(data), values: data, filled: 0 };
}

interface Part {
  /** Of the expected tensor. */
  readonly index: number;
  readonly role: 'side' | 'main';
  readonly part: EncodedPart;
}

function partsOf(
  expected: readonly TrainableTensor[],
  compression: BoundCompression,
): ReadonlyMap<string, Part> {
  const parts = new Map<string, Part>();
  for (const [index, { name, shape }] of expected.entries()) {
    const { side, main } = compression.layout(shape);
    if (side !== undefined) parts.set(name + side.suffix, { index, role: 'side', part: side });
    parts.set(name + main.suffix, { index, role: 'main', part: main });
  }
  return parts;
}

function checkHeader(
  { entries, metadata }: SafetensorsHeader,
  expected: readonly TrainableTensor[],
  compression: BoundCompression,
  parts: ReadonlyMap<string, Part>,
): void {
  const encoding = encodingOf(metadata);
  if (encoding !== compression.id)
    throw new UpdateFault(
      'format',
      `it is encoded as "${encoding.slice(0, 100)}", this run uses "${compression.id}"`,
    );
  for (const [name, { part }] of parts) checkPart(name, part, entries.get(name));
  const unknown = [...entries.keys()].find((name) => !parts.has(name));
  if (unknown !== undefined) throw new UpdateFault('shape', `tensor "${unknown}" is not part of this run`);
  for (const { name, shape } of expected) {
    const { side, main } = compression.layout(shape);
    if (side === undefined) continue;
    if (entries.get(name + side.suffix)!.offsetBytes > entries.get(name + main.suffix)!.offsetBytes)
      throw new UpdateFault('format', `tensor "${name + side.suffix}" lies behind "${name + main.suffix}"`);
  }
}

function checkPart(name: string, { type }: EncodedPart, entry: SafetensorsEntry | undefined): void {
  if (entry === undefined) throw new UpdateFault('shape', `tensor "${name}" is missing`);
  if (!sameShape(entry.shape, type.shape))
    throw new UpdateFault('shape', `tensor "${name}" has shape [${entry.shape}], expected [${type.shape}]`);
  if (entry.dtype !== type.dtype)
    throw new UpdateFault(
      'format',
      `tensor "${name}" is ${entry.dtype ?? entry.format}, expected ${type.dtype}`,
    );
}

/** Max |x|, or NaN: without its sign bit a float32 orders like an integer, NaN last. */
function largestMagnitude(values: Float32Array): number {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  const whole = bits.length - (bits.length % 4);
  // Four maxima at a time: one would wait for itself.
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  for (let i = 0; i < whole; i += 4) {
    const p = bits[i]! & 0x7fffffff;
    const q = bits[i + 1]! & 0x7fffffff;
    const r = bits[i + 2]! & 0x7fffffff;
    const s = bits[i + 3]! & 0x7fffffff;
    a = Math.max(p, a);
    b = Math.max(q, b);
    c = Math.max(r, c);
    d = Math.max(s, d);
  }
  for (let i = whole; i < bits.length; i++) a = Math.max(a, bits[i]! & 0x7fffffff);
  return new Float32Array(Int32Array.of(Math.max(a, b, c, d)).buffer)[0]!;
}

/** What the format of a file forbids is a fault of the update that it carries. */
export function faulty(read: () => void): void {
  try {
    read();
  } catch (error) {
    if (!(error instanceof HeadwaterError)) throw error;
    throw new UpdateFault('format', error.message);
  }
}
