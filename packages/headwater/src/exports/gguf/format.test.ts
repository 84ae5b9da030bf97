import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { float32s, readGguf } from '../../../test/support/read-gguf.ts';
import { float16ToFloat32 } from '../../base/half.ts';
import { rng } from '../../base/random.ts';
import { encodeTensor } from './encode.ts';
import type { GgufMetadata } from './format.ts';
import { writeGgufFile } from './write-file.ts';

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'headwater-gguf-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const metadata: GgufMetadata = new Map([
  ['general.architecture', { type: 'string', value: 'llama' }],
  ['a.uint', { type: 'uint32', value: 4_000_000_000 }],
  ['a.int', { type: 'int32', value: -7 }],
  ['a.float', { type: 'float32', value: 0.5 }],
  ['a.bool', { type: 'bool', value: true }],
  ['a.strings', { type: 'strings', value: ['', 'é', '<|end|>'] }],
  ['a.ints', { type: 'int32s', value: [1, -2, 3] }],
  ['a.floats', { type: 'float32s', value: [-1, 0.25] }],
  ['a.bools', { type: 'bools', value: [true, false] }],
]);

const matrix = Float32Array.from({ length: 6 }, (_, i) => i / 4);
const row = Float32Array.of(1, 2, 3);

describe('a GGUF file', () => {
  it('holds metadata and tensors where the specification puts them', async () => {
    const path = join(scratch, 'small.gguf');
    const sizeBytes = await writeGgufFile(path, metadata, [
      { name: 'row', type: 'f32', shape: [3], read: async () => row },
      { name: 'matrix', type: 'f32', shape: [2, 3], read: async () => matrix },
      { name: 'half', type: 'f16', shape: [2, 3], read: async () => matrix },
    ]);
    const file = await readGguf(path);
    expect(file.fileBytes).toBe(sizeBytes);
    expect(Object.fromEntries(file.metadata)).toEqual({
      'general.architecture': 'llama',
      'a.uint': 4_000_000_000,
      'a.int': -7,
      'a.float': 0.5,
      'a.bool': true,
      'a.strings': ['', 'é', '<|end|>'],
      'a.ints': [1, -2, 3],
      'a.floats': [-1, 0.25],
      'a.bools': [true, false],
    });
    // Innermost first, and every tensor begins at a multiple of 32.
    expect(file.tensors.get('matrix')!.dims).toEqual([3, 2]);
    expect([...file.tensors.values()].map(({ offset }) => offset)).toEqual([0, 32, 64]);
    expect(float32s(file.tensors.get('row')!)).toEqual(row);
    expect(float32s(file.tensors.get('matrix')!)).toEqual(matrix);
    expect(float16ToFloat32(new Uint16Array(file.tensors.get('half')!.bytes.buffer))).toEqual(matrix);
  });

  it('appears whole or not at all', async () => {
    const folder = join(scratch, 'whole');
    const path = join(folder, 'model.gguf');
    const failing = (error: Error) =>
      writeGgufFile(path, metadata, [
        { name: 'row', type: 'f32', shape: [3], read: async () => row },
        { name: 'matrix', type: 'f32', shape: [2, 3], read: () => Promise.reject(error) },
      ]);
    const full = Object.assign(new Error('no space'), { code: 'ENOSPC' });
    await expect(failing(full)).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: expect.stringContaining('disk is full'),
    });
    expect(await readdir(folder)).toEqual([]);
  });

  it('is not begun where it exists already or does not fit on the disk', async () => {
    const path = join(scratch, 'there.gguf');
    await writeFile(path, 'mine');
    await expect(writeGgufFile(path, metadata, [])).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    const other = join(scratch, 'large.gguf');
    const tensor = { name: 'row', type: 'f32', shape: [3], read: async () => row } as const;
    await expect(writeGgufFile(other, metadata, [tensor], async () => 100)).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: expect.stringMatching(/are needed, the disk has 100 B left/),
    });
    expect((await readdir(scratch)).filter((name) => name.includes('large'))).toEqual([]);
  });
});

describe('Q8_0', () => {
  it('stores 32 values as a float16 scale and rounded bytes', () => {
    const values = new Float32Array(32);
    values.set([127, -127, 1.4, 1.5, -2.5, 63.4]);
    const bytes = encodeTensor('q8_0', values);
    expect(bytes.byteLength).toBe(34);
    // 127 / 127 = 1, which is 0x3c00.
    expect([...bytes.subarray(0, 2)]).toEqual([0x00, 0x3c]);
    const ints = new Int8Array(bytes.buffer, 2, 6);
    expect([...ints]).toEqual([127, -127, 1, 2, -3, 63]);
  });

  it('stores zeros as zeros', () => {
    expect(encodeTensor('q8_0', new Float32Array(64)).every((byte) => byte === 0)).toBe(true);
  });

  it('is within half a step of every value', () => {
    fc.assert(
      fc.property(fc.nat(1000), fc.constantFrom(1e-4, 1, 300), (seed, size) => {
        const random = rng('q8', seed);
        const values = Float32Array.from({ length: 96 }, () => size * random.normal());
        const bytes = encodeTensor('q8_0', values);
        for (let block = 0; block < 3; block++) {
          const at = block * 34;
          const pattern = Uint16Array.of(bytes[at]! | (bytes[at + 1]! << 8));
          const scale = float16ToFloat32(pattern)[0]!;
          const ints = new Int8Array(bytes.buffer, at + 2, 32);
          // Half a step, and what the float16 scale is off by.
          for (const [i, int] of ints.entries())
            expect(Math.abs(int * scale - values[block * 32 + i]!)).toBeLessThanOrEqual(
              scale * (0.5 + 127 * 2 ** -10) + 127 * 2 ** -24,
            );
        }
      }),
      { seed: 5, numRuns: 60 },
    );
  });
});
