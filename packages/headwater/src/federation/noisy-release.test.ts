import { describe, expect, it } from 'vitest';
import { rng } from '../base/random.ts';
import { type Params, tensor } from '../base/tensor.ts';
import { aggregateRound } from './aggregate.ts';
import { sumUpdates } from './aggregate-stream.ts';
import { plain } from './compression/none.ts';
import { planFixedPoint } from './fixed-point.ts';
import { bindMethod, type Method } from './method.ts';
import { methods } from './methods/registry.ts';
import { type NoiseSource, type NoisyRelease, sensitivityOf } from './noisy-release.ts';
import { differenceOf, encodeParams, l2Norm, zerosLike } from './params.ts';
import { privacyMistakes } from './privacy-needs.ts';
import { checkUpdateBytes } from './update-check.ts';

const SIZE = 60_000;
const tensors = [
  { name: 'a', shape: [SIZE] },
  { name: 'b', shape: [SIZE] },
];
const plan = planFixedPoint(tensors, { fractionBits: 30, range: 8 });
const fedavg = bound('fedavg');
const start = zerosLike(updateOf('start', 1));

function bound(id: string, options: object = {}) {
  const record = methods.get(id) as Method<unknown>;
  return bindMethod(record, record.options.parse(options));
}

/** A random direction of the given length. */
function updateOf(owner: string, norm: number): Params {
  const random = rng(3, owner);
  const raw = tensors.map(({ name, shape }) => {
    const data = Float32Array.from({ length: SIZE }, () => random.normal());
    return [name, tensor('float32', shape, data)] as const;
  });
  const length = l2Norm(new Map(raw));
  return new Map(
    raw.map(([name, { shape, data }]) => [
      name,
      tensor(
        'float32',
        shape,
        data.map((x) => (x * norm) / length),
      ),
    ]),
  );
}

function noiseOf(seed: number): NoiseSource {
  return { kind: 'simulated', words: (stream) => rng(seed, stream).uint32 };
}

function release(change: Partial<NoisyRelease> = {}): NoisyRelease {
  return {
    clipNorm: 1,
    noiseMultiplier: 1,
    maxParticipations: 9,
    denominator: 4,
    noise: noiseOf(1),
    ...change,
  };
}

async function released(
  owners: Readonly<Record<string, Params>>,
  how: NoisyRelease | undefined,
  method = fedavg,
) {
  const members = Object.keys(owners).map((owner) => ({ owner, update: owner, aggregationWeight: 1 }));
  const input = { round: 1, params: start, serverState: undefined, members, serverLearningRate: 1 };
  return aggregateRound(method, plan, { ...input, release: how }, async (id) => owners[id]!);
}

function four(norms: readonly number[]): Record<string, Params> {
  const names = ['ann', 'ben', 'cid', 'dan'];
  return Object.fromEntries(norms.map((norm, i) => [names[i]!, updateOf(names[i]!, norm)]));
}

describe('the noise of a release', () => {
  it('spreads as it was calibrated, within 1 %, and is centred', async () => {
    const owners = four([0.5, 0.9, 1, 0.2]);
    const how = release({ noiseMultiplier: 1.3 });
    const noisy = await released(owners, how);
    const exact = await released(owners, release({ noiseMultiplier: 0 }));
    const noise = [...differenceOf(noisy.params, exact.params).values()].flatMap(({ data }) => [...data]);
    const std = Math.sqrt(noise.reduce((sum, x) => sum + x * x, 0) / noise.length);
    expect(Math.abs(std / (1.3 / 4) - 1)).toBeLessThan(0.01);
    const mean = noise.reduce((sum, x) => sum + x, 0) / noise.length;
    expect(Math.abs(mean)).toBeLessThan((5 * std) / Math.sqrt(noise.length));
    const told = noisy.report.release!;
    expect(told.noiseStd / (1.3 / 4)).toBeCloseTo(1, 5);
    expect(told.observed!.noiseNorm / Math.sqrt(2 * SIZE)).toBeCloseTo(std, 4);
    expect(told.observed!.signalNorm).toBeCloseTo(l2Norm(exact.params), 5);
  });

  it('is the same for the same seed, another for another round', async () => {
    const owners = four([1, 1]);
    const one = await released(owners, release());
    const again = await released(owners, release());
    const other = await released(owners, release({ noise: noiseOf(2) }));
    expect(encodeParams(again.params)).toEqual(encodeParams(one.params));
    expect(encodeParams(other.params)).not.toEqual(encodeParams(one.params));
  });

  it('without noise and with a clip that nobody reaches is the plain round, bit for bit', async () => {
    const owners = four([0.5, 3, 1, 7]);
    for (const id of ['fedavg', 'fedavgm', 'fedadam']) {
      const how = release({ clipNorm: 1e6, noiseMultiplier: 0 });
      const [clipped, ordinary] = [
        await released(owners, how, bound(id)),
        await released(owners, undefined, bound(id)),
      ];
      expect(encodeParams(clipped.params)).toEqual(encodeParams(ordinary.params));
    }
  });

  it('is no smaller for who dropped out, and the others count no more', async () => {
    const owners = four([1, 1, 1, 1]);
    const { ann, ben } = owners as { ann: Params; ben: Params };
    const [all, two] = [await released(owners, release()), await released({ ann, ben }, release())];
    expect(two.report.release!.noiseStd).toBe(all.report.release!.noiseStd);
    expect(two.report.release!.observed!.noiseNorm).toBe(all.report.release!.observed!.noiseNorm);
    const exact = await released({ ann, ben }, release({ noiseMultiplier: 0 }));
    const absent = zerosLike(ann);
    const zeros = await released({ ann, ben, cid: absent, dan: absent }, release({ noiseMultiplier: 0 }));
    expect(encodeParams(exact.params)).toEqual(encodeParams(zeros.params));
  });
});

describe('what one client can change', () => {
  it('is at most the clip norm over the denominator, also for one that did not clip', async () => {
    const honest = four([1, 1, 1]);
    const without = await released(honest, release({ noiseMultiplier: 0 }));
    for (const norm of [0.3, 0.999, 50]) {
      const withLiar = await released(
        { ...honest, dan: updateOf('dan', norm) },
        release({ noiseMultiplier: 0 }),
      );
      const change = l2Norm(differenceOf(withLiar.params, without.params));
      expect(change).toBeLessThanOrEqual((1 + 1e-6) / 4);
      expect(change).toBeCloseTo(Math.min(1, norm) / 4, 6);
      expect(withLiar.report.release!.observed!.clippedByServer).toBe(norm > 1 ? 1 : 0);
    }
  });

  it('is bounded on the grid of integers by the sensitivity that the noise is made for', async () => {
    const coarse = planFixedPoint(tensors, { fractionBits: 8, range: 8 });
    const members = [{ owner: 'ann', update: 'ann', aggregationWeight: 1 }];
    const update = updateOf('ann', 1);
    const sum = await sumUpdates(
      coarse,
      members,
      { expected: tensors, compression: plain, clipNorm: 1 },
      async function* () {
        yield encodeParams(update);
      },
    );
    const norm = Math.sqrt(
      [...sum.sums.values()].reduce((total, data) => total + data.reduce((s, q) => s + q * q, 0), 0),
    );
    const bound = sensitivityOf(coarse.tensors, 1);
    expect(norm / 2 ** 8).toBeLessThanOrEqual(bound);
    expect(bound).toBeCloseTo(1 + (Math.sqrt(2 * SIZE) * 2 ** -8) / 2, 12);
  });

  it('is the same over streams', async () => {
    const update = updateOf('dan', 50);
    const file = encodeParams(update);
    const members = [{ owner: 'dan', update: 'dan', aggregationWeight: 1 }];
    const format = { expected: tensors, compression: plain, clipNorm: 1 };
    const sum = await sumUpdates(plan, members, format, async function* () {
      for (let at = 0; at < file.byteLength; at += 40_000) yield file.slice(at, at + 40_000);
    });
    expect(sum.clipping).toEqual({ byServer: 1, atLimit: 1 });
    const squares = [...sum.sums.values()].reduce(
      (total, data) => total + data.reduce((s, q) => s + q * q, 0),
      0,
    );
    expect(Math.sqrt(squares) / 2 ** 30).toBeCloseTo(1, 6);
  });

  it('is nothing where the update is NaN: it is refused before it counts', () => {
    const update = updateOf('ann', 1);
    update.get('b')!.data[17] = Number.NaN;
    const bytes = encodeParams(update);
    expect(checkUpdateBytes(bytes, tensors)).toMatchObject({ ok: false, code: 'not-finite' });
  });

  it('cannot grow by a weight', async () => {
    const owners = four([1, 1]);
    const members = Object.keys(owners).map((owner) => ({ owner, update: owner, aggregationWeight: 1000 }));
    const input = { round: 1, params: start, serverState: undefined, members, serverLearningRate: 1 };
    const round = aggregateRound(fedavg, plan, { ...input, release: release() }, async (id) => owners[id]!);
    await expect(round).rejects.toThrow('uniform weights');
  });
});

describe('a clip norm that adapts', () => {
  const adaptive = { targetQuantile: 0.5, learningRate: 0.2, countNoise: 5 };

  it('moves by the share of updates that are shorter, and by nothing without noise and on target', async () => {
    const next = async (norms: readonly number[], how: Partial<NoisyRelease> = {}) =>
      (await released(four(norms), release({ adaptive, noiseMultiplier: 0, ...how }))).report.release!
        .nextClipNorm!;
    expect(await next([0.1, 0.2, 5, 6])).toBe(1);
    expect(await next([5, 6, 7, 8])).toBeCloseTo(Math.exp(0.1), 12);
    expect(await next([0.1, 0.2, 0.3, 0.4])).toBeCloseTo(Math.exp(-0.1), 12);
    const noisy = await next([5, 6, 7, 8], { noiseMultiplier: 1 });
    expect(noisy).not.toBeCloseTo(Math.exp(0.1), 3);
  });

  it('takes a little more noise on the sum, for what the count costs', async () => {
    const { report } = await released(four([1, 1]), release({ adaptive }));
    expect(report.release!.noiseStd / (1.005037815 / 4)).toBeCloseTo(1, 5);
  });

  it('is refused where the count would cost more than all, and with compression', () => {
    const tensors = [{ name: 'q_proj.lora_A.weight', shape: [2, 2] }];
    const facts = { weighting: 'uniform', tensors, fixedPoint: { fractionBits: 30 } } as const;
    const mistakes = (noiseMultiplier: number, compression: string) =>
      privacyMistakes(
        { ...facts, compression, privacy: { clipNorm: 1, noiseMultiplier, maxParticipations: 9, adaptive } },
        fedavg,
      );
    expect(mistakes(9, 'none')).toEqual([]);
    expect(mistakes(10, 'none')).toEqual([expect.stringContaining('countNoise of more than 5')]);
    expect(mistakes(1, 'int8')).toEqual([expect.stringContaining('no compression')]);
  });
});

describe('what does not go together', () => {
  const lora = ['A', 'B'].map((factor) => ({ name: `q_proj.lora_${factor}.weight`, shape: [2, 2] }));
  const facts = {
    privacy: { clipNorm: 1, noiseMultiplier: 1, maxParticipations: 9 },
    weighting: 'uniform',
    tensors: lora,
    fixedPoint: { fractionBits: 30 },
  } as const;

  it.each(['fedavg', 'ffa-lora', 'rolora', 'fedprox', 'fedavgm', 'fedadam', 'fedsa-lora', 'ditto'])(
    '%s composes',
    (id) => {
      expect(privacyMistakes(facts, bound(id))).toEqual([]);
    },
  );

  it.each(['fedex-lora', 'flora', 'hetlora', 'q-fedavg', 'flasc', 'ifca', 'fednova'])(
    '%s is refused',
    (id) => {
      const [mistake, ...more] = privacyMistakes(facts, bound(id));
      expect(mistake).toMatch(/choose a method that only averages/);
      expect(more).toEqual([]);
    },
  );

  it('every rule over whole updates is refused, and every method that asks for more than a sum', () => {
    for (const [id, { aggregate, secureAggregation }] of methods)
      if (aggregate?.kind === 'canonical' || secureAggregation !== 'yes')
        expect(privacyMistakes(facts, bound(id)), id).toHaveLength(1);
  });

  it('control variates are refused: they would be clipped in one vector with the update', () => {
    const record = bound('scaffold');
    const tensors = [...lora, ...lora.map(({ name, shape }) => ({ name: `control/${name}`, shape }))];
    expect(privacyMistakes({ ...facts, tensors }, record)).toEqual([
      expect.stringContaining('also sends what is no update of a trained tensor ("control/'),
    ]);
  });

  it('weights, buffered rounds, choices by data and coarse grids are refused with the reason', () => {
    const mistakesOf = (change: object) => privacyMistakes({ ...facts, ...change }, fedavg);
    expect(mistakesOf({ weighting: 'examples' })).toEqual([expect.stringContaining('as often as it says')]);
    expect(mistakesOf({ pace: { mode: 'buffered' } })).toEqual([expect.stringContaining('synchronous')]);
    expect(mistakesOf({ selection: { kind: 'oort' } })).toEqual([expect.stringContaining('without noise')]);
    const spent = { ...facts.privacy, maxParticipations: 0 };
    expect(mistakesOf({ privacy: spent })).toEqual([expect.stringContaining('not even one release')]);
    const wide = { privacy: { ...facts.privacy, delta: 0.2 }, owners: Array(10).fill('o') };
    expect(mistakesOf(wide)).toEqual([expect.stringContaining('more than one in 10 owners')]);
    expect(mistakesOf({ fixedPoint: { fractionBits: 8 } })).toEqual([
      expect.stringContaining('fractionBits by 2'),
    ]);
    expect(privacyMistakes({ ...facts, privacy: undefined, weighting: 'examples' }, fedavg)).toEqual([]);
  });
});
