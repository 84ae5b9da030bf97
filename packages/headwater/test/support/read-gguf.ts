/** An independent reader of GGUF 3, for tests of the writer: by the specification, field by field. */

import { readFile } from 'node:fs/promises';

export interface GgufTensor {
  /** As in the file: innermost first. */
  readonly dims: readonly number[];
  readonly type: number;
  /** From the start of the data. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

export interface GgufContent {
  readonly metadata: ReadonlyMap<string, unknown>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  readonly fileBytes: number;
}

/** Bytes of a tensor by its type code: f32, f16, q8_0, bf16. */
const BYTES: Readonly<Record<number, (count: number) => number>> = {
  0: (count) => 4 * count,
  1: (count) => 2 * count,
  8: (count) => (count / 32) * 34,
  30: (count) => 2 * count,
};

export async function readGguf(path: string): Promise<GgufContent> {
  const file = await readFile(path);
  let at = 0;
  const take = (count: number) => {
    at += count;
    return at - count;
  };
  const u32 = () => file.readUInt32LE(take(4));
  const u64 = () => Number(file.readBigUInt64LE(take(8)));
  const text = () => {
    const length = u64();
    return file.toString('utf8', take(length), at);
  };
  const scalars: Readonly<Record<number, () => unknown>> = {
    4: u32,
    5: () => file.readInt32LE(take(4)),
    6: () => file.readFloatLE(take(4)),
    7: () => file[take(1)] === 1,
    8: text,
  };
  const value = (): unknown => {
    const type = u32();
    if (type !== 9) return scalars[type]!();
    const item = scalars[u32()]!;
    return Array.from({ length: u64() }, () => item());
  };
  if (file.toString('latin1', 0, take(4) + 4) !== 'GGUF' || u32() !== 3) throw new Error('no GGUF 3');
  const [numTensors, numKeys] = [u64(), u64()];
  const metadata = new Map(Array.from({ length: numKeys }, () => [text(), value()] as const));
  const infos = Array.from({ length: numTensors }, () => {
    const name = text();
    const dims = Array.from({ length: u32() }, u64);
    return { name, dims, type: u32(), offset: u64() };
  });
  const data = Math.ceil(at / 32) * 32;
  const tensors = infos.map(({ name, ...info }) => {
    const count = info.dims.reduce((a, b) => a * b, 1);
    const start = data + info.offset;
    const bytes = Uint8Array.from(file.subarray(start, start + BYTES[info.type]!(count)));
    return [name, { ...info, bytes }] as const;
  });
  return { metadata, tensors: new Map(tensors), fileBytes: file.byteLength };
}

export function float32s({ bytes }: GgufTensor): Float32Array {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}
