/** What every federated method must do, run over the whole registry; a plug-in's tests may run it on their own record. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rng } from '../../src/base/random.ts';
import { type Params, sameShape, tensor } from '../../src/base/tensor.ts';
import { aggregateRound } from '../../src/federation/aggregate.ts';
import { planFixedPoint } from '../../src/federation/fixed-point.ts';
import { type BoundMethod, bindMethod, type Method } from '../../src/federation/method.ts';
import { encodeParams } from '../../src/federation/params.ts';

const tensors = [
  { name: 'layers.0.lora_A.weight', shape: [2, 3] },
  { name: 'layers.0.lora_B.weight', shape: [3, 2] },
];
const plan = planFixedPoint(tensors, { fractionBits: 30, range: 8 });

const values = fc.float32Array({ minLength: 6, maxLength: 6, noNaN: true, min: -2, max: 2 });
const anyParams: fc.Arbitrary<Params> = fc
  .tuple(values, values)
  .map((list) => new Map(tensors.map(({ name, shape }, i) => [name, tensor('float32', shape, list[i]!)])));
const anyCohort = fc.array(
  fc.record({ update: anyParams, aggregationWeight: fc.integer({ min: 1, max: 99 }) }),
  {
    minLength: 1,
    maxLength: 6,
  },
);

interface Uploaded {
  readonly update: Params;
  readonly aggregationWeight: number;
}

async function roundBits(method: BoundMethod, start: Params, cohort: readonly Uploaded[]): Promise<string> {
  const members = cohort.map(({ aggregationWeight }, i) => ({
    owner: `o${i}`,
    update: String(i),
    aggregationWeight,
  }));
  const input = { round: 1, params: start, serverState: undefined, members, serverLearningRate: 1 };
  const { params } = await aggregateRound(method, plan, input, async (i) => cohort[Number(i)]!.update);
  return hex(params);
}

function hex(params: Params): string {
  return Buffer.from(encodeParams(params)).toString('hex');
}

export function methodConformance(method: Method<unknown>, all: ReadonlyMap<string, Method<unknown>>): void {
  const bound = () => bindMethod(method, method.options.parse({}));
  const context = { round: 1, owner: 'o1', random: rng(1, 'o1', 1) };

  describe(`federated method contract: ${method.id}`, () => {
    it('names itself as a recipe can, cites its source and has defaults for its options', () => {
      expect(method.id).toMatch(/^[a-z0-9][a-z0-9-]*$/);
      expect(method.source).toMatch(/\d{4}/);
      expect(method.options.safeParse({}).success).toBe(true);
    });

    it('keeps names and shapes on the way up and down', () => {
      fc.assert(
        fc.property(anyParams, (params) => {
          for (const sent of [bound().encodeUp(params, context), bound().encodeDown(params, context)]) {
            expect([...sent.keys()]).toEqual([...params.keys()]);
            for (const [name, { shape }] of sent)
              expect(sameShape(shape, params.get(name)!.shape)).toBe(true);
          }
        }),
      );
    });

    it('a round in which nobody moved leaves the params', async () => {
      await fc.assert(
        fc.asyncProperty(anyParams, async (start) => {
          const still: Params = new Map(
            tensors.map(({ name, shape }) => [name, tensor('float32', shape, new Float32Array(6))]),
          );
          const cohort = [1, 2, 3].map((aggregationWeight) => ({ update: still, aggregationWeight }));
          const begin = withoutNegativeZero(start);
          expect(await roundBits(bound(), begin, cohort)).toBe(hex(begin));
        }),
      );
    });

    it('the same round twice gives the same bits', async () => {
      await fc.assert(
        fc.asyncProperty(anyParams, anyCohort, async (start, cohort) => {
          expect(await roundBits(bound(), start, cohort)).toBe(await roundBits(bound(), start, cohort));
        }),
      );
    });

    it('secure aggregation is claimed by linear methods only', () => {
      if (method.secureAggregation === 'yes') expect(method.aggregate?.kind ?? 'linear').toBe('linear');
    });

    for (const { id, when } of method.reducesTo ?? []) {
      it(`is ${id} under ${JSON.stringify(when)}, bit for bit`, async () => {
        const other = all.get(id);
        expect(other).toBeDefined();
        const [left, right] = [bindMethod(method, when), bindMethod(other!, other!.options.parse({}))];
        await fc.assert(
          fc.asyncProperty(anyParams, anyCohort, async (start, cohort) => {
            expect(await roundBits(left, start, cohort)).toBe(await roundBits(right, start, cohort));
          }),
        );
      });
    }
  });
}

/** −0 + 0 is +0: a sign without meaning for a model. */
function withoutNegativeZero(params: Params): Params {
  return new Map(
    [...params].map(([name, { shape, data }]) => [
      name,
      tensor(
        'float32',
        shape,
        data.map((x) => x + 0),
      ),
    ]),
  );
}
