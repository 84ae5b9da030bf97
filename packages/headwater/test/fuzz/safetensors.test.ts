/** safetensors from strangers: headers and bodies against mutations and made-up headers. */

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeadwaterError } from '../../src/base/errors.ts';
import { tensor } from '../../src/base/tensor.ts';
import { encodeParams } from '../../src/federation/params.ts';
import { parseSafetensors, writeSafetensors } from '../../src/models/safetensors.ts';
import { parseSafetensorsHeader, safetensorsHeaderBytes } from '../../src/models/safetensors-header.ts';
import { expectUnpolluted, mutatedBytes, PARAMETERS } from './support.ts';

const params = new Map([
  ['a.loraA', tensor('float32', [2, 3], Float32Array.of(1, -2, 3, 0, 5e-40, -6))],
  ['a.loraB', tensor('float32', [1, 2], Float32Array.of(7, 8))],
]);
const good = encodeParams(params);

const corpus: readonly { readonly b64: string }[] = JSON.parse(
  readFileSync(new URL('../fixtures/safetensors/corpus.json', import.meta.url), 'utf8'),
);
const seeds = [
  good,
  writeSafetensors(new Map([['x', tensor('bfloat16', [3], Uint16Array.of(1, 2, 3))]])),
  ...corpus.map(({ b64 }) => new Uint8Array(Buffer.from(b64, 'base64'))),
];

/** Refused with the right code or read; nothing else may come out. */
function read(bytes: Uint8Array): ReturnType<typeof parseSafetensors> | undefined {
  try {
    return parseSafetensors(bytes, { mode: 'upload' });
  } catch (error) {
    if (error instanceof HeadwaterError && error.code === 'SAFETENSORS_INVALID') return undefined;
    throw error;
  }
}

function fileWith(header: string, dataBytes: number): Uint8Array {
  const text = new TextEncoder().encode(header);
  const file = new Uint8Array(8 + text.byteLength + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.byteLength), true);
  file.set(text, 8);
  return file;
}

describe('safetensors from strangers', () => {
  it('20,000 mutated files are read or refused', () => {
    fc.assert(
      fc.property(mutatedBytes(seeds), (bytes) => {
        const content = read(bytes);
        if (content === undefined) return;
        // Whatever is read is a tensor whose values fill its shape and are finite.
        for (const { shape, data } of content.tensors.values()) {
          expect(data.length).toBe(shape.reduce((product, n) => product * n, 1));
          if (data instanceof Float32Array) expect(data.every(Number.isFinite)).toBe(true);
        }
      }),
      { ...PARAMETERS, numRuns: 20_000 },
    );
    expectUnpolluted();
  });

  it('made-up headers never make it allocate what they claim', () => {
    const size = fc.oneof(
      fc.nat(16),
      fc.constantFrom(-1, 1.5, 2 ** 31, 2 ** 53, 1e300, '4', null, [2], 2 ** 64),
    );
    const entry = fc.record(
      {
        dtype: fc.constantFrom('F32', 'BF16', 'F4', 'U64', 'NOPE', 7, null, 'constructor'),
        shape: fc.oneof(fc.array(size, { maxLength: 10 }), size),
        data_offsets: fc.oneof(fc.array(size, { maxLength: 3 }), size),
        extra: fc.constant(1),
      },
      { requiredKeys: [] },
    );
    const name = fc.constantFrom(
      'a',
      '../x',
      '/etc/passwd',
      '__proto__',
      '__metadata__',
      'constructor',
      '',
      'a\0b',
      'é',
    );
    const header = fc.array(
      fc.tuple(
        name,
        fc.oneof(
          entry,
          fc.json().map((text) => JSON.parse(text) as unknown),
        ),
      ),
    );
    fc.assert(
      fc.property(header, fc.nat(64), (entries, dataBytes) => {
        const text = entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`).join();
        const content = read(fileWith(`{${text}}`, dataBytes));
        const held = [...(content?.tensors.values() ?? [])].reduce(
          (sum, { data }) => sum + data.byteLength,
          0,
        );
        expect(held).toBeLessThanOrEqual(dataBytes);
      }),
      { ...PARAMETERS, numRuns: 5000 },
    );
    expectUnpolluted();
  });

  it('any 8 bytes of length and any file size are judged before anything is read', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 0, maxLength: 9 }), fc.maxSafeNat(), (start, fileBytes) => {
        try {
          const length = safetensorsHeaderBytes(start, fileBytes, { mode: 'upload' });
          expect(length).toBeLessThanOrEqual(16 * 1024 * 1024);
        } catch (error) {
          expect(error).toMatchObject({ code: 'SAFETENSORS_INVALID' });
        }
      }),
      PARAMETERS,
    );
  });

  it('a header of 65,000 duplicate names is refused by its first repetition', () => {
    const one = '"t":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}';
    const bytes = fileWith(`{${Array.from({ length: 65_000 }, () => one).join()}}`, 0);
    expect(() => parseSafetensorsHeader(bytes, bytes.byteLength, { mode: 'upload' })).toThrow(/DuplicateKey/);
  });
});
