import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rng } from '../../base/random.ts';
import { type Params, type Tensor, tensor } from '../../base/tensor.ts';
import { parseSafetensors, writeSafetensors } from '../../models/safetensors.ts';
import { encodeParams } from '../params.ts';
import { checkUpdateBytes } from '../update-check.ts';
import { decodeUpdate } from '../update-reader.ts';
import { type BoundCompression, bindCompression } from './compression.ts';
import { encodedUpdateBytes, encodeUpdate } from './encode.ts';
import { compressions } from './registry.ts';

const tensors = [
  { name: 'a', shape: [40, 16] },
  { name: 'b', shape: [5] },
];

function bound(id: string, options: unknown = {}): BoundCompression {
  const record = compressions.get(id)!;
  return bindCompression(record, record.options.parse(options));
}

const all = [bound('none'), bound('float16'), bound('int8'), bound('top-k', { fraction: 0.05 })];
const values = (length: number) =>
  fc.float32Array({ minLength: length, maxLength: length, noNaN: true, min: -60000, max: 60000 });
const updates = fc.tuple(values(640), values(5)).map(
  ([a, b]): Params =>
    new Map([
      ['a', tensor('float32', [40, 16], a)],
      ['b', tensor('float32', [5], b)],
    ]),
);
const dataOf = (params: Params | undefined, name: string) => params!.get(name)!.data;

describe.each(all.map((compression) => [compression.id, compression] as const))('%s', (_, compression) => {
  it('has the size that its layout says, and is accepted', () => {
    fc.assert(
      fc.property(updates, (update) => {
        const { bytes } = encodeUpdate(compression, update, rng(1), undefined);
        expect(bytes.byteLength).toBe(encodedUpdateBytes(compression, tensors));
        expect(checkUpdateBytes(bytes, tensors, { compression })).toMatchObject({ ok: true });
      }),
    );
  });

  it('equal input and seed give equal bytes', () => {
    fc.assert(
      fc.property(updates, (update) => {
        const encode = () => Buffer.from(encodeUpdate(compression, update, rng(5), undefined).bytes);
        expect(encode().equals(encode())).toBe(true);
      }),
    );
  });

  it('NaN and infinity are refused, not hidden', () => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const data = new Float32Array(640).fill(1);
      data[600] = bad;
      const update = new Map([
        ['a', tensor('float32', [40, 16], data)],
        ['b', tensor('float32', [5], new Float32Array(5))],
      ]);
      const { bytes } = encodeUpdate(compression, update, rng(1), undefined);
      const check = checkUpdateBytes(bytes, tensors, { compression });
      expect(check).toMatchObject({ ok: false, reason: expect.stringMatching(/"a"/) });
    }
  });

  it('a file in any other encoding is refused by name', () => {
    const update: Params = new Map(
      tensors.map(({ name, shape }) => [
        name,
        tensor('float32', shape, new Float32Array(shape.reduce((n, d) => n * d, 1))),
      ]),
    );
    for (const other of all) {
      if (other.id === compression.id) continue;
      const { bytes } = encodeUpdate(other, update, rng(1), undefined);
      expect(checkUpdateBytes(bytes, tensors, { compression })).toMatchObject({
        ok: false,
        code: 'format',
        reason: `it is encoded as "${other.id}", this run uses "${compression.id}"`,
      });
    }
  });
});

describe('what each loses', () => {
  const decoded = (compression: BoundCompression, update: Params, seed = 1) =>
    decodeUpdate(encodeUpdate(compression, update, rng(seed), undefined).bytes, tensors, compression);

  it('none: nothing, and the file is what it was before there were encodings', () => {
    fc.assert(
      fc.property(updates, (update) => {
        const { bytes, residual } = encodeUpdate(all[0]!, update, rng(1), undefined);
        expect(Buffer.from(bytes).equals(encodeParams(update))).toBe(true);
        expect(residual).toBeUndefined();
      }),
    );
  });

  it('float16: what Float16Array loses', () => {
    fc.assert(
      fc.property(updates, (update) => {
        const expected = Float32Array.from(new Float16Array(dataOf(update, 'a')));
        expect(dataOf(decoded(all[1]!, update), 'a')).toEqual(expected);
      }),
    );
  });

  it('int8: less than a step of its block, and nothing on average', () => {
    fc.assert(
      fc.property(updates, (update) => {
        const [before, after] = [dataOf(update, 'a'), dataOf(decoded(all[2]!, update), 'a')];
        for (let block = 0; block < before.length; block += 256) {
          const largest = Math.max(...before.subarray(block, block + 256).map(Math.abs));
          for (let i = block; i < Math.min(block + 256, before.length); i++)
            expect(Math.abs(after[i]! - before[i]!)).toBeLessThanOrEqual((largest / 127) * 1.0001);
        }
      }),
    );
    const update = new Map([
      [
        'a',
        tensor(
          'float32',
          [40, 16],
          Float32Array.from({ length: 640 }, (_, i) => Math.sin(i)),
        ),
      ],
      ['b', tensor('float32', [5], new Float32Array(5))],
    ]);
    const runs = 400;
    const mean = new Float64Array(640);
    for (let seed = 0; seed < runs; seed++)
      dataOf(decoded(all[2]!, update, seed), 'a').forEach((x, i) => {
        mean[i]! += x / runs;
      });
    // A rounding error is at most a step; five standard deviations of the mean of 400.
    const bound = (5 * 0.5) / 127 / Math.sqrt(runs);
    mean.forEach((x, i) => {
      expect(Math.abs(x - Math.sin(i))).toBeLessThan(bound);
    });
  });

  it('top-k: exactly all but the k largest, the first of equals', () => {
    fc.assert(
      fc.property(updates, (update) => {
        const before = dataOf(update, 'a');
        const order = [...before.keys()].sort((i, k) => Math.abs(before[k]!) - Math.abs(before[i]!) || i - k);
        const kept = new Set(order.slice(0, 32));
        const expected = before.map((x, i) => (kept.has(i) ? x : 0));
        // −0 travels where it is among the largest; elsewhere zeros are zeros.
        expect([...dataOf(decoded(all[3]!, update), 'a')].map((x) => x + 0)).toEqual(
          [...expected].map((x) => x + 0),
        );
      }),
    );
  });

  it('top-k: what is not sent is kept, and what was kept is sent later', () => {
    const compression = all[3]!;
    const update = new Map([
      [
        'a',
        tensor(
          'float32',
          [40, 16],
          Float32Array.from({ length: 640 }, (_, i) => 640 - i),
        ),
      ],
      ['b', tensor('float32', [5], Float32Array.of(1, 2, 3, 4, 5))],
    ]);
    const total = new Float64Array(640);
    let residual: Params | undefined;
    const zero: Params = new Map(
      [...update].map(([name, { shape, data }]) => [
        name,
        tensor('float32', shape, new Float32Array(data.length)),
      ]),
    );
    for (let round = 0; round < 20; round++) {
      const sent = encodeUpdate(compression, round === 0 ? update : zero, rng(round), residual);
      residual = sent.residual;
      dataOf(decodeUpdate(sent.bytes, tensors, compression), 'a').forEach((x, i) => {
        total[i]! += x;
      });
      // D(E(u + e)) + e' = u + e: nothing appears and nothing disappears.
      const left = dataOf(residual, 'a');
      total.forEach((x, i) => {
        expect(x + left[i]!).toBe(640 - i);
      });
    }
    // 20 rounds of 32 elements: everything has travelled.
    expect([...dataOf(residual, 'a')].every((x) => x === 0)).toBe(true);
  });
});

describe('files that no client of ours writes', () => {
  const update: Params = new Map(
    tensors.map(({ name, shape }) => {
      const data = Float32Array.from({ length: shape.reduce((n, d) => n * d, 1) }, (_, i) => i - 3);
      return [name, tensor('float32', shape, data)];
    }),
  );

  function tampered(
    compression: BoundCompression,
    change: (tensors: Map<string, Tensor>) => void,
  ): Uint8Array {
    const { bytes } = encodeUpdate(compression, update, rng(1), undefined);
    const content = parseSafetensors(bytes, { mode: 'model' });
    const parts = new Map(
      [...content.tensors].map(([name, value]) => [name, { ...value, data: value.data.slice() } as Tensor]),
    );
    change(parts);
    return writeSafetensors(parts, content.metadata);
  }

  const set = (name: string, index: number, value: number) => (parts: Map<string, Tensor>) => {
    parts.get(name)!.data[index] = value;
  };

  it.each<[string, BoundCompression, (parts: Map<string, Tensor>) => void, string, RegExp]>([
    [
      'an index outside',
      all[3]!,
      set('a:indices', 31, 640),
      'format',
      /index 640 is outside its 640 elements/,
    ],
    ['a negative index', all[3]!, set('a:indices', 0, -1), 'format', /index -1 is outside/],
    [
      'the same index twice',
      all[3]!,
      (parts) => set('a:indices', 1, Number(parts.get('a:indices')!.data[0]))(parts),
      'format',
      /indices must rise/,
    ],
    ['a scale that is NaN', all[2]!, set('a:scales', 1, Number.NaN), 'format', /scale 1 is NaN/],
    [
      'a scale that is infinite',
      all[2]!,
      set('a:scales', 0, Number.POSITIVE_INFINITY),
      'format',
      /scale 0 is Infinity/,
    ],
    ['a negative scale', all[2]!, set('a:scales', 2, -1), 'format', /scale 2 is -1/],
    ['a scale that makes infinities', all[2]!, set('a:scales', 2, 3e38), 'not-finite', /"a" has -?Infinity/],
    ['missing scales', all[2]!, (parts) => parts.delete('a:scales'), 'shape', /"a:scales" is missing/],
    [
      'an unknown part',
      all[1]!,
      (parts) => parts.set('a:scales', tensor('float32', [1], Float32Array.of(1))),
      'shape',
      /"a:scales" is not part/,
    ],
    [
      'another type',
      all[1]!,
      (parts) => parts.set('a', tensor('bfloat16', [40, 16], new Uint16Array(640))),
      'format',
      /"a" is bfloat16, expected float16/,
    ],
    [
      'too many values',
      all[3]!,
      (parts) => parts.set('a:values', tensor('float32', [33], new Float32Array(33))),
      'shape',
      /\[33\], expected \[32\]/,
    ],
  ])('%s is refused', (_, compression, change, code, reason) => {
    expect(checkUpdateBytes(tampered(compression, change), tensors, { compression })).toMatchObject({
      ok: false,
      code,
      reason: expect.stringMatching(reason),
    });
  });

  it('the length is that of the decoded update, and the limit holds for it', () => {
    const compression = all[3]!;
    const { bytes } = encodeUpdate(compression, update, rng(1), undefined);
    const squares = (data: Float32Array) => data.reduce((sum, x) => sum + x * x, 0);
    const sent = decodeUpdate(bytes, tensors, compression);
    const l2Norm = Math.sqrt(squares(dataOf(sent, 'a')) + squares(dataOf(sent, 'b')));
    const check = checkUpdateBytes(bytes, tensors, { compression });
    expect(check.ok && check.l2Norm).toBeCloseTo(l2Norm, 6);
    expect(checkUpdateBytes(bytes, tensors, { compression, maxNorm: l2Norm - 1 })).toMatchObject({
      code: 'norm',
    });
    expect(checkUpdateBytes(bytes, tensors, { compression, maxNorm: l2Norm + 1 })).toMatchObject({
      ok: true,
    });
  });
});
