import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { HeadwaterError } from '../base/errors.ts';
import { type DType, sizeOf, type Tensor, tensor, zeros } from '../base/tensor.ts';
import { layoutSafetensors, parseSafetensors, writeSafetensors } from './safetensors.ts';
import type { SafetensorsMode } from './safetensors-format.ts';

interface CorpusFile {
  readonly id: string;
  readonly b64: string;
  readonly expect: string;
}

const corpus: readonly CorpusFile[] = JSON.parse(
  readFileSync(new URL('../../test/fixtures/safetensors/corpus.json', import.meta.url), 'utf8'),
);

function outcome(bytes: Uint8Array, mode: SafetensorsMode): string {
  try {
    parseSafetensors(bytes, { mode });
    return 'ok';
  } catch (error) {
    if (!(error instanceof HeadwaterError) || error.code !== 'SAFETENSORS_INVALID') throw error;
    return error.message.split(':')[0] as string;
  }
}

/** A file around a hand-written header. */
function fileWith(header: string, data = new Uint8Array(16)): Uint8Array {
  const text = new TextEncoder().encode(header);
  const file = new Uint8Array(8 + text.byteLength + data.byteLength);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.byteLength), true);
  file.set(text, 8);
  file.set(data, 8 + text.byteLength);
  return file;
}

const POLICY: Record<string, { upload: string; model: string }> = {
  'hdr-leading-space': { upload: 'InvalidHeaderStart', model: 'ok' },
  'nan-f32': { upload: 'NonFinite', model: 'ok' },
  'inf-f32': { upload: 'NonFinite', model: 'ok' },
  'bf16-inf': { upload: 'NonFinite', model: 'ok' },
  'f16-nan': { upload: 'NonFinite', model: 'ok' },
};

describe('safetensors corpus', () => {
  it('has its 45 files', () => {
    expect(corpus).toHaveLength(45);
    expect(corpus.filter((file) => file.expect.startsWith('policy:')).map((file) => file.id)).toEqual(
      Object.keys(POLICY),
    );
  });

  it.each(corpus.map((file) => [file.id, file] as const))('%s', (id, file) => {
    const bytes = new Uint8Array(Buffer.from(file.b64, 'base64'));
    const expected = POLICY[id] ?? { upload: file.expect, model: file.expect };
    expect(outcome(bytes, 'upload')).toBe(expected.upload);
    expect(outcome(bytes, 'model')).toBe(expected.model);
  });
});

describe('safetensors header', () => {
  const tensorOf = (fields: string) => fileWith(`{"t":{${fields}}}`);

  it.each([
    ['1e1 in offsets', '"dtype":"F32","shape":[4],"data_offsets":[0,1.6e1]', 'InvalidHeaderSchema'],
    ['2.0 in shape', '"dtype":"F32","shape":[2.0,2],"data_offsets":[0,16]', 'InvalidHeaderSchema'],
    ['-0 in offsets', '"dtype":"F32","shape":[4],"data_offsets":[-0,16]', 'InvalidHeaderSchema'],
    [
      '2^53 + 1 in offsets',
      '"dtype":"F32","shape":[4],"data_offsets":[0,9007199254740993]',
      'ValidationOverflow',
    ],
    [
      'a product above 2^53',
      '"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16]',
      'ValidationOverflow',
    ],
    ['duplicate dtype', '"dtype":"F32","dtype":"I32","shape":[4],"data_offsets":[0,16]', 'DuplicateKey'],
    ['a nested shape', '"dtype":"F32","shape":[[[[4]]]],"data_offsets":[0,16]', 'InvalidHeaderSchema'],
    ['three offsets', '"dtype":"F32","shape":[4],"data_offsets":[0,8,16]', 'InvalidHeaderSchema'],
    ['a null shape', '"dtype":"F32","shape":null,"data_offsets":[0,16]', 'InvalidHeaderSchema'],
    ['half a byte', '"dtype":"F4","shape":[31],"data_offsets":[0,16]', 'TensorInvalidInfo'],
  ])('refuses %s', (_what, fields, problem) => {
    expect(outcome(tensorOf(fields), 'upload')).toBe(problem);
    expect(outcome(tensorOf(fields), 'model')).toBe(problem);
  });

  it('refuses names that an upload must not have and a model may', () => {
    for (const name of ['a b', 'ä', 'x'.repeat(257)]) {
      const file = fileWith(`{${JSON.stringify(name)}:{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`);
      expect(outcome(file, 'upload')).toBe('ForbiddenName');
      expect(outcome(file, 'model')).toBe('ok');
    }
  });

  it('refuses a byte-order mark and broken strings without throwing anything else', () => {
    for (const header of [
      '\ufeff{}',
      '{"a',
      '{"\\u00',
      '{"a":"\\"',
      '"',
      '{"a":1}}',
      '[[[[[',
      '-',
      '{"x"::1}',
    ])
      expect(outcome(fileWith(header), 'model')).toMatch(/^(InvalidHeader|ValidationOverflow)/);
  });

  it('refuses 70,000 tensors before building them', () => {
    const many = Array.from(
      { length: 70_000 },
      (_, i) => `"t${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`,
    );
    expect(outcome(fileWith(`{${many.join()}}`, new Uint8Array(0)), 'model')).toBe('TooManyTensors');
  });

  it('keeps prototypes clean', () => {
    outcome(fileWith('{"__metadata__":{"__proto__":"polluted"}}', new Uint8Array(0)), 'upload');
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('never accepts a changed header of a valid file, whichever byte is flipped', () => {
    const good = writeSafetensors(
      new Map([['weight', tensor('float32', [2, 2], Float32Array.of(1, 2, 3, 4))]]),
    );
    const header = layoutSafetensors(new Map([['weight', { dtype: 'float32', shape: [2, 2] }]])).header;
    const meaning = (bytes: Uint8Array) => [...parseSafetensors(bytes, { mode: 'upload' }).tensors];
    const original = JSON.stringify(meaning(good).map(([name, t]) => [name, t.dtype, t.shape]));
    for (let bit = 0; bit < header.byteLength * 8; bit++) {
      const bad = good.slice();
      bad[bit >> 3]! ^= 1 << (bit & 7);
      if (outcome(bad, 'upload') !== 'ok') continue;
      // What still loads may have another name, metadata value or white space, or swap equal widths and dimensions.
      const seen = meaning(bad).map(([, t]) => sizeOf(t.shape) * t.data.BYTES_PER_ELEMENT);
      expect(seen).toEqual([16]);
    }
    expect(original).toBe('[["weight","float32",[2,2]]]');
  });
});

const DTYPES = ['float32', 'float16', 'bfloat16', 'int32', 'int64', 'int8', 'uint8', 'bool'] as const;

describe('safetensors writer', () => {
  const types = fc.uniqueArray(
    fc.record({
      name: fc.stringMatching(/^[a-z][a-z0-9_.]{0,20}$/),
      dtype: fc.constantFrom<DType>(...DTYPES),
      shape: fc.array(fc.nat({ max: 4 }), { maxLength: 3 }),
    }),
    { selector: (item) => item.name, maxLength: 6 },
  );

  it('round-trips every dtype and gives the same bytes for any order of the map', () => {
    fc.assert(
      fc.property(types, (items) => {
        const filled = items.map(({ name, dtype, shape }, i) => {
          const value: Tensor = zeros(dtype, shape);
          new Uint8Array(value.data.buffer).forEach((_, at, bytes) => {
            bytes[at] = dtype === 'bool' ? (at + i) % 2 : (at * 7 + i) % 60;
          });
          return [name, value] as const;
        });
        const bytes = writeSafetensors(new Map(filled));
        expect(writeSafetensors(new Map([...filled].reverse()))).toEqual(bytes);
        const read = parseSafetensors(bytes, { mode: 'upload' });
        expect(read.metadata.get('format')).toBe('pt');
        expect(new Map(read.tensors)).toEqual(new Map(filled));
      }),
      { seed: 1, numRuns: 200 },
    );
  });

  it('refuses a tensor named __metadata__ or __proto__', () => {
    for (const name of ['__metadata__', '__proto__'])
      expect(() => writeSafetensors(new Map([[name, zeros('float32', [1])]]))).toThrow('ForbiddenName');
  });
});
