import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { filled } from '../../../test/support/filled.ts';
import { rng } from '../../base/random.ts';
import { type Params, tensor } from '../../base/tensor.ts';
import { addMask } from '../../privacy/secure-aggregation/mask-stream.ts';
import { addUpdate, emptySum, type PartialSum, planFixedPoint } from '../fixed-point.ts';
import { start, step } from '../machine.ts';
import { bindMethod } from '../method.ts';
import { fedavg } from '../methods/fedavg.ts';
import { flora } from '../methods/flora.ts';
import { encodeParams } from '../params.ts';
import { createPlan, type PlanInput } from '../plan.ts';
import { groupsOf } from './groups.ts';
import { addMaskedStream, checkMaskedStream, unmaskedSum } from './masked-sum.ts';
import { maskedLayout, unmaskedFile } from './masked-vector.ts';
import { planRing } from './ring.ts';

const TENSORS = [
  { name: 'b.weight', shape: [3, 2] },
  { name: 'a.weight', shape: [5] },
];
const COUNTS = [7, 3, 3, 12, 1];
const key = (owner: number) => new Uint8Array(32).fill(owner + 1);

async function* stream(bytes: Uint8Array, pieceBytes = 37) {
  for (let at = 0; at < bytes.byteLength; at += pieceBytes) yield bytes.slice(at, at + pieceBytes);
}

async function maskedFile(update: Params, weight: number, owner: number) {
  const { fractionBits, range } = PLAN.tensors[0]!;
  const { bytes, words } = unmaskedFile(update, { weight, fractionBits, range });
  await addMask(words, key(owner), 1);
  return bytes;
}

const PLAN = planRing(TENSORS, { counts: COUNTS, cohortSize: 5 });

async function maskedSum(updates: readonly Params[], weights: readonly number[]): Promise<PartialSum> {
  const words = new Uint32Array(maskedLayout(TENSORS).words);
  for (const [i, update] of updates.entries())
    await addMaskedStream(words, stream(await maskedFile(update, weights[i]!, i)), TENSORS);
  for (const i of updates.keys()) await addMask(words, key(i), -1);
  const totalWeight = weights.reduce((a, b) => a + b, 0);
  return unmaskedSum(PLAN, words, TENSORS, { totalWeight, numUpdates: updates.length });
}

describe('masked sums', () => {
  it('are the plain sums bit for bit, clamped values and all', async () => {
    const value = fc.oneof(
      fc.double({ min: -1.5, max: 1.5, noNaN: true }),
      fc.constantFrom(-1, 1, 0, 2 ** -30),
    );
    const update = fc.array(value, { minLength: 11, maxLength: 11 });
    await fc.assert(
      fc.asyncProperty(fc.array(update, { minLength: 1, maxLength: 5 }), async (values) => {
        const updates = values.map((own) => filled(TENSORS, (i) => own[i]!));
        const weights = COUNTS.slice(0, updates.length);
        const plain = emptySum();
        for (const [i, own] of updates.entries()) addUpdate(PLAN, plain, own, weights[i]!);
        expect(await maskedSum(updates, weights)).toEqual(plain);
      }),
      { numRuns: 40 },
    );
  });

  it('hold at the ends of 32 bits', async () => {
    const [most, least] = [filled(TENSORS, () => 1), filled(TENSORS, () => -1)];
    for (const [update, sign] of [
      [most, 1],
      [least, -1],
    ] as const) {
      const { sums } = await maskedSum([update, update, update, update, update], COUNTS);
      const { fractionBits, range } = PLAN.tensors[0]!;
      expect(sums.get('a.weight')![0]).toBe(sign * 26 * range * 2 ** fractionBits);
    }
  });

  it('let a masked update look like chance, whatever it holds', async () => {
    const big = [{ name: 'a', shape: [40_000] }];
    for (const value of [0, 1]) {
      const update: Params = new Map([
        ['a', tensor('float32', [40_000], new Float32Array(40_000).fill(value))],
      ]);
      const { bytes, words } = unmaskedFile(update, { weight: 1, fractionBits: 20, range: 1 });
      await addMask(words, key(value), 1);
      const counts = new Float64Array(256);
      for (const byte of bytes.subarray(maskedLayout(big).header.byteLength)) counts[byte]! += 1;
      const expected = (words.length * 4) / 256;
      const chi2 = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
      // 255 degrees of freedom: more than 360, or less than 165, comes once in a hundred thousand times.
      expect(chi2).toBeGreaterThan(165);
      expect(chi2).toBeLessThan(360);
    }
  });

  it('refuse values that are no numbers, and files of another form', async () => {
    const bad = filled(TENSORS, (i) => (i === 4 ? Number.NaN : 0));
    const scale = { weight: 1, fractionBits: 20, range: 1 };
    expect(() => unmaskedFile(bad, scale)).toThrow('NaN');
    const good = filled(TENSORS, () => 0.5);
    const { bytes } = unmaskedFile(good, scale);
    expect(await checkMaskedStream(stream(bytes), TENSORS)).toEqual({ ok: true, l2Norm: null });
    const plain = await checkMaskedStream(stream(encodeParams(good)), TENSORS);
    expect(plain).toMatchObject({
      ok: false,
      code: 'format',
      reason: expect.stringContaining('masked updates only'),
    });
    const more = [...TENSORS, { name: 'c', shape: [1] }];
    expect(await checkMaskedStream(stream(bytes), more)).toMatchObject({ ok: false, code: 'shape' });
    expect(await checkMaskedStream(stream(bytes), TENSORS.slice(1))).toMatchObject({
      ok: false,
      code: 'shape',
    });
    expect(await checkMaskedStream(stream(bytes.subarray(0, -4)), TENSORS)).toMatchObject({ ok: false });
  });
});

describe('the scale of masked sums', () => {
  it('keeps as many bits as 32 hold, and exact weights while they fit', () => {
    const uniform = planRing(TENSORS, { counts: [5, 5, 5, 5], cohortSize: 4 });
    expect(uniform.tensors[0]).toMatchObject({ fractionBits: 28, range: 1 });
    expect(uniform.maxTotalWeight).toBeGreaterThanOrEqual(4);
    const uneven = planRing(TENSORS, { counts: [1000, 1, 999], cohortSize: 3 });
    expect(uneven.tensors[0]!.fractionBits).toBe(19);
    expect(uneven.maxTotalWeight).toBeGreaterThanOrEqual(4000);
    const crowded = planRing(TENSORS, {
      counts: Array.from({ length: 1000 }, (_, i) => 1 + i),
      cohortSize: 1000,
    });
    expect(crowded.tensors[0]!.fractionBits).toBe(16);
  });

  it('never lets a sum leave 32 bits', () => {
    const counts = fc.array(fc.integer({ min: 1, max: 1e6 }), { minLength: 1, maxLength: 50 });
    fc.assert(
      fc.property(counts, fc.constantFrom(0.125, 1, 8, 3), (given, range) => {
        const { tensors, maxTotalWeight } = planRing(TENSORS, {
          counts: given,
          cohortSize: given.length,
          range,
        });
        const quantum = Math.round(range * 2 ** tensors[0]!.fractionBits);
        expect(maxTotalWeight * quantum).toBeLessThanOrEqual(2 ** 31 - 1);
      }),
    );
  });

  it('is refused where it cannot hold', () => {
    const given = { counts: [1, 1, 1], cohortSize: 3, fractionBits: 30, range: 8 };
    expect(() => planRing(TENSORS, given)).toThrow(/integers up to 8589934592, allowed are 1 to 2147483647/);
  });
});

describe('groups', () => {
  it('are a partition into groups of at least the size, the same for everybody', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 80 }),
        fc.integer({ min: 2, max: 12 }),
        fc.string(),
        (n, size, digest) => {
          const groups = groupsOf(n, size, digest);
          expect(groups.flat().sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i));
          for (const group of groups) expect(group.length).toBeGreaterThanOrEqual(Math.min(n, size));
          expect(groupsOf(n, size, digest)).toEqual(groups);
        },
      ),
    );
    expect(groupsOf(40, 8, 'a')).not.toEqual(groupsOf(40, 8, 'b'));
  });
});

const method = bindMethod(fedavg, {});
const owners = ['ann', 'ben', 'cid', 'dan'].map((owner) => ({ owner, numExamples: 4, numTokens: 40 }));
const INPUT: PlanInput = {
  ...{
    seed: 1,
    owners,
    tensors: TENSORS,
    baseModel: 'base',
    initialParams: 'p0',
    method: { kind: 'fedavg' },
  },
  ...{
    rounds: 2,
    localSteps: 1,
    weighting: 'uniform',
    serverLearningRate: 1,
    fixedPoint: {},
    earlyStopping: null,
  },
  ...{ keepBest: false, arms: [], validateEveryRounds: 0, test: false, quorum: 3 },
  secureAggregation: { mode: 'two-server' },
  pace: { belowQuorum: 'extend' },
};

describe('what secure aggregation refuses, with the reason', () => {
  const refusal = (change: Partial<PlanInput>, clients = {}, other = method) => {
    try {
      createPlan({ ...INPUT, ...change }, other, clients);
      return '';
    } catch (error) {
      return (error as Error).message;
    }
  };

  it.each<[string, string]>([
    [refusal({}, { compression: 'top-k' }), 'compression top-k'],
    [refusal({ pace: { mode: 'buffered' } }), 'how late they came'],
    [refusal({ pace: { maxUpdateNorm: 1 } }), 'cannot be checked on masked updates'],
    [refusal({ quorum: 2 }), 'a quorum of 2'],
    [refusal({ secureAggregation: { mode: 'two-server', groupSize: 3 } }), 'only federation.robust needs'],
    [refusal({ keepUpdates: true }), 'nothing of single updates'],
    [
      refusal({ privacy: { clipNorm: 1, noiseMultiplier: 0, maxParticipations: 2 } }),
      'which it cannot do to masked ones',
    ],
    [refusal({}, {}, bindMethod(flora, flora.options.parse({}))), 'the server multiplies the factors'],
  ])('%s', (message, part) => expect(message).toContain(part));

  it('and accepts what works', () => expect(refusal({})).toBe(''));
});

describe('a round whose masks cannot be taken away', () => {
  const plan = createPlan(INPUT, method);
  const update = (owner: string, round = 1, masked = { attempt: 1, weight: 1 }) => ({
    ...{ type: 'update-received' as const, round, owner, update: `u-${owner}`, personal: null },
    ...{ upBytes: 1, downBytes: 1, check: { ok: true as const, l2Norm: null }, masked },
    stats: { steps: 1, numExamples: 1, numTokens: 1, numTargets: 1, meanLoss: 1, lastLoss: 1 },
  });
  const frozen = () =>
    owners.reduce((state, { owner }) => step(state, update(owner)).state, start(plan).state);
  const membershipOf = (state: ReturnType<typeof frozen>) => {
    const again = step(state, { type: 'resumed' }).state;
    expect(again).toBe(state);
    const { effects } = step(step(state, { type: 'paused', reason: '' }).state, { type: 'continued' });
    return { effects, members: state.open!.members! };
  };

  it('is frozen with the weights that are inside the sums', () => {
    const state = frozen();
    expect(state.open).toMatchObject({ phase: 'aggregating' });
    expect(membershipOf(state).members.map(({ aggregationWeight }) => aggregationWeight)).toEqual([
      1, 1, 1, 1,
    ]);
  });

  it('takes nothing that was masked for another attempt or weight', () => {
    const { state } = start(plan);
    for (const masked of [
      { attempt: 2, weight: 1 },
      { attempt: 1, weight: 2 },
    ]) {
      const { state: next, effects } = step(state, update('ann', 1, masked));
      expect(next).toBe(state);
      expect(effects).toMatchObject([{ kind: 'receipt', accepted: false, code: 'wrong-mask' }]);
    }
  });

  it('goes on without whom the helper names, or begins anew', async () => {
    const { digestJson } = await import('../../base/canonical.ts');
    const state = frozen();
    const event = (blamed: string[]) => ({
      type: 'unmasking-failed' as const,
      ...{ round: 1, membership: digestJson(state.open!.members), blamed, reason: 'no seed' },
    });
    const without = step(state, event(['ben'])).state;
    expect(without.open).toMatchObject({ phase: 'aggregating', lost: { ben: 'no seed' } });
    expect(without.open!.members!.map(({ owner }) => owner)).toEqual(['ann', 'cid', 'dan']);
    expect(without.roster.ben!.offences).toBe(1);
    const fewer = step(without, { ...event(['cid']), membership: digestJson(without.open!.members) }).state;
    expect(fewer.open).toMatchObject({ phase: 'training' });
    expect(Object.keys(fewer.open!.accepted)).toEqual(['ann', 'dan']);
    const { state: anew, effects } = step(state, event([]));
    expect(anew.open).toMatchObject({ phase: 'training', accepted: {}, abandoned: 1 });
    expect(effects).toHaveLength(4);
    expect(effects[0]).toMatchObject({ kind: 'train', masking: { attempt: 2, weight: 1, range: 1 } });
    expect(step(anew, event([])).state).toBe(anew);
  });
});

it('a plain plan with the same scale has the same integers', () => {
  const { fractionBits, range } = PLAN.tensors[0]!;
  expect(planFixedPoint(TENSORS, { fractionBits, range }).tensors).toEqual(PLAN.tensors);
  expect(rng('a').uint32()).toBe(rng('a').uint32());
});
