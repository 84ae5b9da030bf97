/**
 * What every federated method must do and what its record declares, as far as it needs no training (for that:
 * `method-training.ts`). Run over the whole registry; a plug-in's tests may run it on their own record.
 */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { rng } from '../../src/base/random.ts';
import { type Params, sameShape, sizeOf, tensor, zeros } from '../../src/base/tensor.ts';
import { aggregateRound, stepFromSum } from '../../src/federation/aggregate.ts';
import { type FixedPointPlan, planFixedPoint } from '../../src/federation/fixed-point.ts';
import { unmaskedSum } from '../../src/federation/masking/masked-sum.ts';
import { maskedLayout, unmaskedFile } from '../../src/federation/masking/masked-vector.ts';
import { secureAggregationMistakes } from '../../src/federation/masking/secure-aggregation-needs.ts';
import {
  bindMethod,
  METHOD_PROPERTIES,
  type Method,
  type MethodProperty,
} from '../../src/federation/method.ts';
import { differenceOf, encodeParams, selectParams } from '../../src/federation/params.ts';
import { addMask } from '../../src/privacy/secure-aggregation/mask-stream.ts';
import { addWords } from '../../src/privacy/secure-aggregation/words.ts';
import type { TrainableTensor } from '../../src/tuning/kind.ts';
import { lora } from '../../src/tuning/lora.ts';
import { testLayout } from './layout.ts';
import { settingOf } from './method-settings.ts';

/** One linear module [3, 2] with LoRA factors of rank 2, and what the method puts beside them. */
const layout = testLayout({
  linears: [{ module: 'layers.0', inFeatures: 2, outFeatures: 3, bias: false, role: 'mlp-input' }],
});
const lora2 = lora.bind(lora.options.parse({ rank: 2, targetModules: ['layers.0'] }), layout);

/** A method with these options on the toy network. */
function onToy<O>(method: Method<O>, options: O) {
  const bound = bindMethod(method, options);
  const { tensors } = bound.tuning(lora2, layout, { rounds: 2, localSteps: 2 });
  const wire = bound.wire(tensors, 1, 'o0');
  return { bound, tensors, wire, plan: planFixedPoint(byName([...tensors, ...wire]), SCALE) };
}

/** At its defaults, or at its small setting where these let more travel than a test should make up. */
function smallEnough(method: Method<unknown>): Toy {
  const toy = onToy(method, method.options.parse({}));
  const { options } = settingOf(method.id);
  return numElements(toy) > MOST_ELEMENTS && options !== undefined
    ? onToy(method, method.options.parse(options))
    : toy;
}

type Toy = ReturnType<typeof onToy>;

const MOST_ELEMENTS = 5_000;

function numElements({ tensors, wire }: Toy): number {
  return [...tensors, ...wire].reduce((sum, { shape }) => sum + sizeOf(shape), 0);
}

const SCALE = { fractionBits: 30, range: 8 };

/** Of a sum's rounding and of float32, for params up to 16. */
const QUANTUM = 2 ** -30 + 2 ** -20;

function byName(tensors: readonly TrainableTensor[]): TrainableTensor[] {
  return [...new Map(tensors.map((own) => [own.name, own])).values()];
}

function anyParams(
  tensors: readonly TrainableTensor[],
  valuesOf: (size: number) => fc.Arbitrary<Float32Array> = anyValues,
): fc.Arbitrary<Params> {
  const values = tensors.map(({ shape }) => valuesOf(sizeOf(shape)));
  return fc
    .tuple(...values)
    .map((list) => new Map(tensors.map(({ name, shape }, i) => [name, tensor('float32', shape, list[i]!)])));
}

const anyValues = (size: number): fc.Arbitrary<Float32Array> =>
  fc.float32Array({ minLength: size, maxLength: size, noNaN: true, min: -2, max: 2 });

/** Of few values, so that some are equal. */
const fewValues = (size: number): fc.Arbitrary<Float32Array> =>
  fc
    .array(fc.integer({ min: -4, max: 4 }), { minLength: size, maxLength: size })
    .map((values) => Float32Array.from(values, (x) => x / 2));

function anyCohort({ wire }: Toy, valuesOf = anyValues): fc.Arbitrary<Uploaded[]> {
  const upload = fc.record({
    update: anyParams(wire, valuesOf),
    aggregationWeight: fc.integer({ min: 1, max: 99 }),
  });
  return fc.array(upload, { minLength: 1, maxLength: 6 });
}

interface Uploaded {
  readonly update: Params;
  readonly aggregationWeight: number;
}

/** `order`: of the members, by their place in the cohort. */
async function roundOf(
  { bound, plan }: Toy,
  start: Params,
  cohort: readonly Uploaded[],
  order: readonly number[] = [...cohort.keys()],
): Promise<Params> {
  const members = order.map((i) => ({
    owner: `o${i}`,
    update: String(i),
    aggregationWeight: cohort[i]!.aggregationWeight,
  }));
  const input = { round: 1, params: start, serverState: undefined, members, serverLearningRate: 1 };
  return (await aggregateRound(bound, plan, input, async (i) => cohort[Number(i)]!.update)).params;
}

/** Params after rounds with these aggregates. */
function steppedBy({ bound }: Toy, start: Params, aggregates: readonly Params[]): Params {
  let [params, state]: [Params, Params | undefined] = [start, undefined];
  for (const [i, aggregate] of aggregates.entries()) {
    const next = bound.serverStep!({ round: i + 1, params, aggregate, state, serverLearningRate: 0.5 });
    [params, state] = [next.params, next.state];
  }
  return params;
}

function largestOf(params: Params): number {
  return Math.max(...[...params.values()].flatMap(({ data }) => [...data].map(Math.abs)));
}

function hex(params: Params): string {
  return Buffer.from(encodeParams(params)).toString('hex');
}

export function methodConformance(method: Method<unknown>, all: ReadonlyMap<string, Method<unknown>>): void {
  const toy = smallEnough(method);
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
    declared(method, 'still-round', async () => holds(fc.asyncProperty(anyParams(toy.tensors), nobodyMoved)));

    const someCohort = fc.oneof(anyCohort(toy), anyCohort(toy, fewValues));
    const sumsUp = (method.aggregate?.kind ?? 'linear') === 'linear';
    declared(method, 'any-order', () =>
      holds(
        fc.asyncProperty(anyParams(toy.tensors), someCohort, fc.nat(5), async (start, cohort, turn) => {
          const places = [...cohort.keys()].reverse();
          const order = [...places.slice(turn % places.length), ...places.slice(0, turn % places.length)];
          const [one, other] = [await roundOf(toy, start, cohort), await roundOf(toy, start, cohort, order)];
          return hex(one) === hex(other) || (!sumsUp && largestOf(differenceOf(one, other)) < QUANTUM);
        }),
      ),
    );

    if (method.serverByElement === true)
      it('its server moves an element by what was released for that element alone', () => {
        const one = (size: number) => fc.tuple(fc.nat(size - 1), fc.constantFrom(-0.5, 0.25, 1));
        const { length } = toy.wire;
        fc.assert(
          fc.property(
            anyParams(toy.tensors),
            fc.tuple(anyParams(toy.wire), anyParams(toy.wire), anyParams(toy.wire)),
            fc.nat(length - 1).chain((at) => fc.tuple(fc.constant(at), one(sizeOf(toy.wire[at]!.shape)))),
            (start, released, [at, [element, by]]) => {
              const { name } = toy.wire[at]!;
              const [first, ...later] = released;
              const other = new Map(first!);
              const { shape, data } = first!.get(name)!;
              const moved = data.map((x, i) => (i === element ? x + by : x));
              other.set(name, tensor('float32', shape, moved));
              const [left, right] = [first!, other].map((begin) => steppedBy(toy, start, [begin, ...later]));
              for (const [of, { data: values }] of left!)
                for (const [i, value] of values.entries())
                  if (i !== element || !of.endsWith(name)) expect(right!.get(of)!.data[i]).toBe(value);
            },
          ),
          { numRuns: 20 },
        );
      });

    it('the same round twice gives the same bits', async () => {
      await fc.assert(
        fc.asyncProperty(anyParams(toy.tensors), anyCohort(toy), async (start, cohort) => {
          const [first, second] = [await roundOf(toy, start, cohort), await roundOf(toy, start, cohort)];
          expect(hex(second)).toBe(hex(first));
        }),
      );
    });

    if (method.secureAggregation === 'yes')
      it('needs sums only: a masked round gives the same bits', async () => {
        const plan = planFixedPoint(byName([...toy.tensors, ...toy.wire]), RING_SCALE);
        const sends = (owner: string) => toy.bound.wire(toy.tensors, 1, owner).map(({ name }) => name);
        expect(sends('o0')).toEqual(sends('o1'));
        await fc.assert(
          fc.asyncProperty(anyParams(toy.tensors), anyCohort(toy), async (start, cohort) => {
            const plainly = await roundOf({ ...toy, plan }, start, cohort);
            const input = { round: 1, params: start, serverState: undefined, serverLearningRate: 1 };
            const sum = await maskedSumOf(toy.wire, plan, cohort);
            expect(hex(stepFromSum(toy.bound, plan, input, sum).params)).toBe(hex(plainly));
          }),
          { numRuns: 5 },
        );
      });
    else
      it('is refused where updates are masked, with its reason', () => {
        const mistakes = secureAggregationMistakes(MASKED, toy.bound);
        expect(mistakes[0]).toContain((method.secureAggregation as { noBecause: string }).noBecause);
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

/** For values up to 2, and weights up to 6 · 99. */
const RING_SCALE = { fractionBits: 20, range: 2 };

const MASKED = {
  secureAggregation: { mode: 'two-server' },
  ...{ quorum: 3, cohortSize: 3, owners: [], tensors: [] },
} as const;

/** As the server has it once the masks are gone. */
async function maskedSumOf(
  wire: readonly TrainableTensor[],
  plan: FixedPointPlan,
  cohort: readonly Uploaded[],
) {
  const words = new Uint32Array(maskedLayout(wire).words);
  const key = (i: number) => new Uint8Array(32).fill(i);
  for (const [i, { update, aggregationWeight }] of cohort.entries()) {
    const sent = unmaskedFile(update, { ...RING_SCALE, weight: aggregationWeight });
    await addMask(sent.words, key(i), 1);
    addWords(words, sent.words);
  }
  for (const i of cohort.keys()) await addMask(words, key(i), -1);
  const totalWeight = cohort.reduce((sum, { aggregationWeight }) => sum + aggregationWeight, 0);
  return unmaskedSum(plan, words, wire, { totalWeight, numUpdates: cohort.length });
}

/** The same examples in every run: that there is a counterexample must not hang on luck. */
async function holds(property: Parameters<typeof fc.check>[0]): Promise<boolean> {
  const { failed } = await fc.check(property, { seed: 1, endOnFailure: true });
  return !failed;
}

/** What the record declares must be so: that it holds, or that it does not. */
export function declared(
  method: Method<unknown>,
  property: MethodProperty,
  isSo: () => boolean | Promise<boolean>,
): void {
  const because = method.exceptions?.[property];
  const says = because === undefined ? METHOD_PROPERTIES[property] : `not, because ${because}`;
  it(`${property}: ${says}`, async () => expect(await isSo()).toBe(because === undefined));
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
