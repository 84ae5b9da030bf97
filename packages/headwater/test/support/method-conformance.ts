/** What every federated method must do, run over the whole registry; a plug-in's tests may run it on their own record. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rng } from '../../src/base/random.ts';
import { type Params, sameShape, sizeOf, tensor, zeros } from '../../src/base/tensor.ts';
import { aggregateRound } from '../../src/federation/aggregate.ts';
import { planFixedPoint } from '../../src/federation/fixed-point.ts';
import { bindMethod, type Method } from '../../src/federation/method.ts';
import { differenceOf, encodeParams, selectParams } from '../../src/federation/params.ts';
import type { TrainableTensor } from '../../src/tuning/kind.ts';
import { lora } from '../../src/tuning/lora.ts';
import { testLayout } from './layout.ts';

/** One linear module [3, 2] with LoRA factors of rank 2, and what the method puts beside them. */
const layout = testLayout({
  linears: [{ module: 'layers.0', inFeatures: 2, outFeatures: 3, bias: false, role: 'mlp-input' }],
});
const lora2 = lora.bind(lora.options.parse({ rank: 2, targetModules: ['layers.0'] }), layout);

/** A method at its defaults, or with these options, on the toy network. */
function onToy<O>(method: Method<O>, options: O) {
  const bound = bindMethod(method, options);
  const { tensors } = bound.tuning(lora2, layout, { rounds: 2, localSteps: 2 });
  const wire = bound.wire(tensors, 1, 'o0');
  return { bound, tensors, wire, plan: planFixedPoint(byName([...tensors, ...wire]), SCALE) };
}

type Toy = ReturnType<typeof onToy>;

const SCALE = { fractionBits: 30, range: 8 };

/** Of a sum's rounding and of float32, for params up to 16. */
const QUANTUM = 2 ** -30 + 2 ** -20;

function byName(tensors: readonly TrainableTensor[]): TrainableTensor[] {
  return [...new Map(tensors.map((own) => [own.name, own])).values()];
}

function anyParams(tensors: readonly TrainableTensor[]): fc.Arbitrary<Params> {
  const values = tensors.map(({ shape }) => {
    const size = sizeOf(shape);
    return fc.float32Array({ minLength: size, maxLength: size, noNaN: true, min: -2, max: 2 });
  });
  return fc
    .tuple(...values)
    .map((list) => new Map(tensors.map(({ name, shape }, i) => [name, tensor('float32', shape, list[i]!)])));
}

function anyCohort({ wire }: Toy): fc.Arbitrary<Uploaded[]> {
  const upload = fc.record({ update: anyParams(wire), aggregationWeight: fc.integer({ min: 1, max: 99 }) });
  return fc.array(upload, { minLength: 1, maxLength: 6 });
}

interface Uploaded {
  readonly update: Params;
  readonly aggregationWeight: number;
}

async function roundOf({ bound, plan }: Toy, start: Params, cohort: readonly Uploaded[]): Promise<Params> {
  const members = cohort.map(({ aggregationWeight }, i) => ({
    owner: `o${i}`,
    update: String(i),
    aggregationWeight,
  }));
  const input = { round: 1, params: start, serverState: undefined, members, serverLearningRate: 1 };
  return (await aggregateRound(bound, plan, input, async (i) => cohort[Number(i)]!.update)).params;
}

function largestOf(params: Params): number {
  return Math.max(...[...params.values()].flatMap(({ data }) => [...data].map(Math.abs)));
}

function hex(params: Params): string {
  return Buffer.from(encodeParams(params)).toString('hex');
}

export function methodConformance(method: Method<unknown>, all: ReadonlyMap<string, Method<unknown>>): void {
  const toy = onToy(method, method.options.parse({}));
  const context = { round: 1, owner: 'o1', random: rng(1, 'o1', 1) };

  describe(`federated method contract: ${method.id}`, () => {
    it('names itself as a recipe can, cites its source and has defaults for its options', () => {
      expect(method.id).toMatch(/^[a-z0-9][a-z0-9-]*$/);
      expect(method.source).toMatch(/\d{4}/);
      expect(method.options.safeParse({}).success).toBe(true);
    });

    it('sends the tensors of its wire, and nothing unknown goes down', () => {
      fc.assert(
        fc.property(anyParams(toy.wire), anyParams(toy.tensors), (update, params) => {
          const sent = toy.bound.encodeUp(update, context);
          expect([...sent.keys()]).toEqual([...update.keys()]);
          for (const [name, { shape }] of [...sent, ...toy.bound.encodeDown(params, context)])
            expect(sameShape(shape, (update.get(name) ?? params.get(name))!.shape)).toBe(true);
        }),
      );
    });

    const nobodyMoved = async (start: Params) => {
      const still: Params = new Map(toy.wire.map(({ name, shape }) => [name, zeros('float32', shape)]));
      const cohort = [1, 2, 3].map((aggregationWeight) => ({ update: still, aggregationWeight }));
      const begin = withoutNegativeZero(start);
      return hex(await roundOf(toy, begin, cohort)) === hex(begin);
    };
    const moves = method.exceptions?.['still-round'];
    it(
      moves === undefined ? 'a round in which nobody moved leaves the params' : `moves: ${moves}`,
      async () => {
        const property = fc.asyncProperty(anyParams(toy.tensors), nobodyMoved);
        if (moves === undefined) await fc.assert(property);
        else expect((await fc.check(property, { endOnFailure: true })).failed).toBe(true);
      },
    );

    it('the same round twice gives the same bits', async () => {
      await fc.assert(
        fc.asyncProperty(anyParams(toy.tensors), anyCohort(toy), async (start, cohort) => {
          const [first, second] = [await roundOf(toy, start, cohort), await roundOf(toy, start, cohort)];
          expect(hex(second)).toBe(hex(first));
        }),
      );
    });

    it('secure aggregation is claimed by linear methods only', () => {
      if (method.secureAggregation === 'yes') expect(method.aggregate?.kind ?? 'linear').toBe('linear');
    });

    for (const { id, when, within } of method.reducesTo ?? []) {
      const how = within === undefined ? 'bit for bit' : `within the ${within}`;
      it(`is ${id} under ${JSON.stringify(when)}, ${how}`, async () => {
        const other = all.get(id);
        expect(other).toBeDefined();
        const [left, right] = [onToy(method, when), onToy(other!, other!.options.parse({}))];
        const known = (of: readonly TrainableTensor[], params: Params) =>
          selectParams(params, (name) => of.some((own) => own.name === name));
        await fc.assert(
          fc.asyncProperty(anyParams(left.tensors), anyCohort(left), async (start, cohort) => {
            const own = cohort.map((sent) => ({ ...sent, update: known(right.wire, sent.update) }));
            const expected = await roundOf(right, known(right.tensors, start), own);
            const found = known(right.tensors, await roundOf(left, start, cohort));
            if (within === undefined) expect(hex(found)).toBe(hex(expected));
            else expect(largestOf(differenceOf(found, expected))).toBeLessThan(QUANTUM);
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
