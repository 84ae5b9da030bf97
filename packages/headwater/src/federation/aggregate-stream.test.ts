import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rng } from '../base/random.ts';
import { type Params, tensor } from '../base/tensor.ts';
import { aggregateRound } from './aggregate.ts';
import { isStreamable, streamFromSum, sumUpdates } from './aggregate-stream.ts';
import { type BoundCompression, bindCompression } from './compression/compression.ts';
import { encodeUpdate } from './compression/encode.ts';
import { compressions } from './compression/registry.ts';
import { emptySum, mergeSum, planFixedPoint } from './fixed-point.ts';
import { bindMethod } from './method.ts';
import { fedavg } from './methods/fedavg.ts';
import { encodeParams } from './params.ts';
import { addEncodedSum, encodeSum } from './partial-sums.ts';
import { decodeUpdate } from './update-reader.ts';

// A scalar, an empty tensor, and more elements than a block of int8 or of the reader.
const tensors = [
  { name: 'a', shape: [9000] },
  { name: 'b.scalar', shape: [] },
  { name: 'c', shape: [3, 7] },
  { name: 'd.empty', shape: [0, 4] },
];
const plan = planFixedPoint(tensors, { fractionBits: 30, range: 8 });
const method = bindMethod(fedavg, {});
const bound = [...compressions.values()].map((record) =>
  bindCompression(record, record.options.parse(record.id === 'top-k' ? { fraction: 0.3 } : {})),
);

function randomParams(seed: number, scale = 1): Params {
  const random = rng(seed);
  return new Map(
    tensors.map(({ name, shape }) => {
      const size = shape.reduce((product, dim) => product * dim, 1);
      const data = Float32Array.from({ length: size }, () => scale * random.normal());
      return [name, tensor('float32', shape, data)];
    }),
  );
}

/** Pieces of varying, also odd, lengths. */
async function* pieces(bytes: Uint8Array, length: number): AsyncIterable<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += length) yield bytes.slice(at, at + length);
}

async function joined(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const piece of source) parts.push(piece.slice());
  return Buffer.concat(parts);
}

interface Cohort {
  readonly members: { owner: string; update: string; aggregationWeight: number; freshWeight: number }[];
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** Some values lie outside the fixed-point range; some members are stale. */
function cohortOf(compression: BoundCompression, size: number, seed: number): Cohort {
  const files = new Map<string, Uint8Array>();
  const members = Array.from({ length: size }, (_, i) => {
    const update = randomParams(seed + i, i === 1 ? 4 : 0.1);
    files.set(`u${i}`, encodeUpdate(compression, update, rng(seed, i), undefined).bytes);
    return { owner: `o${i}`, update: `u${i}`, aggregationWeight: 3 + i, freshWeight: 3 + i + (i % 2) * 5 };
  });
  return { members, files };
}

describe.each(bound.map((compression) => [compression.id, compression] as const))(
  'aggregation over streams, %s',
  (_, compression) => {
    it('gives the bits of the aggregation in memory, whatever the pieces', async () => {
      await fc.assert(
        fc.asyncProperty(fc.integer({ min: 5, max: 50_000 }), fc.nat(99), async (length, seed) => {
          const { members, files } = cohortOf(compression, 3, seed);
          const params = randomParams(1000 + seed);
          const input = { round: 1, params, serverState: undefined, members, serverLearningRate: 1.7 };
          const expected = await aggregateRound(method, plan, input, async (id) =>
            decodeUpdate(files.get(id)!, tensors, compression),
          );
          const sum = await sumUpdates(plan, members, { expected: tensors, compression }, (id) =>
            pieces(files.get(id)!, length),
          );
          const streamed = streamFromSum(plan, sum, pieces(encodeParams(params), length), 1.7);
          expect(streamed.report).toEqual(expected.report);
          expect(streamed.aggregateNorm).toBe(expected.aggregateNorm);
          expect((await joined(streamed.params)).equals(encodeParams(expected.params))).toBe(true);
        }),
        { numRuns: 15 },
      );
    });

    it('partial sums, written and read again, merge to the bits of the flat sum', async () => {
      const { members, files } = cohortOf(compression, 5, 7);
      const format = { expected: tensors, compression };
      const read = (id: string) => pieces(files.get(id)!, 1 << 16);
      const flat = await sumUpdates(plan, members, format, read);
      const tree = emptySum();
      for (const part of [members.slice(3), members.slice(0, 1), members.slice(1, 3)]) {
        const file = await joined(encodeSum(plan, await sumUpdates(plan, part, format, read)));
        await addEncodedSum(plan, tree, pieces(file, 1001));
      }
      expect((await joined(encodeSum(plan, tree))).equals(await joined(encodeSum(plan, flat)))).toBe(true);
      const direct = emptySum();
      mergeSum(direct, flat);
      expect(direct).toEqual(flat);
    });
  },
);

describe('aggregation over streams', () => {
  const plain = bound[0]!;
  const format = { expected: tensors, compression: plain };

  it('divides by the fresh weights: stale updates count less, not others more', async () => {
    const one: Params = new Map(
      [...randomParams(1)].map(([name, { shape, data }]) => [
        name,
        tensor('float32', shape, new Float32Array(data.length).fill(1)),
      ]),
    );
    const bytes = encodeParams(one);
    const members = [
      { owner: 'fresh', update: 'u', aggregationWeight: 6 },
      { owner: 'stale', update: 'u', aggregationWeight: 2, freshWeight: 6 },
    ];
    const sum = await sumUpdates(plan, members, format, () => pieces(bytes, 1 << 16));
    const zero = encodeParams(
      new Map(
        [...one].map(([name, { shape, data }]) => [
          name,
          tensor('float32', shape, new Float32Array(data.length)),
        ]),
      ),
    );
    const file = await joined(streamFromSum(plan, sum, pieces(zero, 1 << 16), 1).params);
    const expected = new Map(
      [...one].map(([name, { shape, data }]) => [
        name,
        tensor('float32', shape, new Float32Array(data.length).fill(8 / 12)),
      ]),
    );
    expect(file.equals(encodeParams(expected))).toBe(true);
  });

  it('an update that is not what was accepted stops the aggregation and names its owner', async () => {
    const broken = new Map(randomParams(1));
    broken.set('c', tensor('float32', [3, 7], new Float32Array(21).fill(Number.NaN)));
    const members = [{ owner: 'eve', update: 'u', aggregationWeight: 1 }];
    const sum = sumUpdates(plan, members, format, () => pieces(encodeParams(broken), 4096));
    await expect(sum).rejects.toMatchObject({
      code: 'UPDATE_REJECTED',
      message: expect.stringMatching(/"eve".*"c" has NaN at element 0/),
    });
  });

  it('is for methods that only average', () => {
    expect(isStreamable(method)).toBe(true);
    const step = bindMethod({ ...fedavg, serverStep: ({ params }) => ({ params }) }, {});
    expect(isStreamable(step)).toBe(false);
    const rule = { kind: 'canonical', combine: () => new Map() } as const;
    expect(isStreamable(bindMethod({ ...fedavg, aggregate: rule }, {}))).toBe(false);
  });

  it('a damaged or foreign partial sum is refused', async () => {
    const { members, files } = cohortOf(plain, 2, 3);
    const sum = await sumUpdates(plan, members, format, (id) => pieces(files.get(id)!, 1 << 16));
    const file = await joined(encodeSum(plan, sum));
    const add = (bytes: Uint8Array, into = plan) => addEncodedSum(into, emptySum(), pieces(bytes, 4096));
    const fraction = Buffer.from(file);
    fraction.writeDoubleLE(0.5, file.length - 8);
    await expect(add(fraction)).rejects.toThrow(/has 0.5/);
    const huge = Buffer.from(file);
    huge.writeDoubleLE(2 ** 52, file.length - 8);
    await expect(add(huge)).rejects.toMatchObject({ code: 'RUN_CORRUPT' });
    await expect(add(file.subarray(0, file.length - 8))).rejects.toThrow(/fewer bytes/);
    await expect(add(Buffer.concat([file, Buffer.of(0)]))).rejects.toThrow(/more bytes/);
    const other = planFixedPoint(tensors, { fractionBits: 29, range: 8 });
    await expect(add(file, other)).rejects.toThrow(/another plan/);
    await expect(add(encodeParams(randomParams(1)))).rejects.toThrow(/no partial sum/);
  });
});
