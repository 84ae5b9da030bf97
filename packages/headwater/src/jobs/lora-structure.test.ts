import { describe, expect, it } from 'vitest';
import { type MethodBench, methodBench } from '../../test/support/method-bench.ts';
import { rng } from '../base/random.ts';
import { type Params, sizeOf, type Tensor, tensor } from '../base/tensor.ts';
import { aggregateRound } from '../federation/aggregate.ts';
import { isInitialFactor } from '../federation/base-factors.ts';
import { isCore, isFixedFactor } from '../federation/fixed-factors.ts';
import { planFixedPoint } from '../federation/fixed-point.ts';
import { Matrix as Matrices, type Matrix, matrixOf, svd } from '../federation/linear-algebra.ts';
import { addScaled, encodeParams, overlaid, selectParams } from '../federation/params.ts';
import { isSparse } from '../federation/sparse-weights.ts';
import { readWeight } from '../models/checkpoint-node.ts';

const SCALE = 2;
const STEM = 'base_model.model.model.layers.0.self_attn.q_proj';
const WEIGHT = 'model.layers.0.self_attn.q_proj.weight';
const ONE_STEP = { steps: 1, batchSize: 6, microBatchSize: 6, maxGradNorm: 1e9 };
const bits = (params: Params) => Buffer.from(encodeParams(params)).toString('hex');
const numZeros = (params: Params) =>
  [...params.values()].reduce((sum, { data }) => sum + data.filter((x) => x === 0).length, 0);
const size = (params: Params) => [...params.values()].reduce((sum, { shape }) => sum + sizeOf(shape), 0);
const distance = (a: Matrix, b: Matrix) => Matrices.sub(a, b).norm();

/** Every element moved a little, so that nothing is zero. */
function lively(params: Params): Params {
  return new Map(
    [...params].map(([name, value]) => {
      const random = rng('lively', name);
      return [name, { ...value, data: value.data.map((x) => x + 0.05 * random.normal()) }];
    }),
  );
}

/** The gradient of the dense weight at the base, over all examples of the bench. */
async function denseGradient(): Promise<Matrix> {
  const { engine, params, examples } = await methodBench('fedavg', {}, { kind: 'full' });
  const { grads } = await engine.gradients(params, examples, { maxLength: 64 });
  return matrixOf(grads.get(WEIGHT)!);
}

async function baseLogits(): Promise<Float32Array> {
  const { engine, params } = await methodBench('fedavg', {});
  return engine.logits(params, Int32Array.of(5, 6, 7, 8));
}

async function expectBase({ engine }: MethodBench, params: Params) {
  const logits = await engine.logits(params, Int32Array.of(5, 6, 7, 8));
  for (const [i, value] of (await baseLogits()).entries()) expect(logits[i]).toBeCloseTo(value, 4);
}

function mean(bench: MethodBench, params: Params, sent: readonly Params[], round: number) {
  const tensors = bench.method.wire(bench.tuning.tensors, round, 'ann');
  const byName = new Map([...tensors, ...bench.tuning.tensors].map((own) => [own.name, own]));
  const plan = planFixedPoint([...byName.values()], { fractionBits: 36, range: 8 });
  const members = sent.map((_, i) => ({ owner: `o${i}`, update: String(i), aggregationWeight: i + 1 }));
  const input = { round, params, serverState: undefined, serverLearningRate: 1, members };
  return aggregateRound(bench.method, plan, input, async (i) => sent[Number(i)]!);
}

describe('FLASC', () => {
  const densities = { down: { default: 0.25 }, up: { default: 0.125 } };

  it('sends down the largest elements of all tensors together, and up the largest of the change', async () => {
    const bench = await methodBench('flasc', densities);
    const params = lively(bench.params);
    const total = size(params);
    const context = { round: 1, owner: 'ann', random: rng('unused') };
    const received = bench.method.encodeDown(params, context);
    expect(total - numZeros(received)).toBe(Math.floor(0.25 * total));
    const seen: Params[] = [];
    const { sent, update, downBytes } = await bench.round({ params, seen: (start) => seen.push(start) });
    expect(bits(seen[0]!)).toBe(bits(new Map([...received].sort(([a], [b]) => (a < b ? -1 : 1)))));
    expect(sent.get('sparse.values')!.shape).toEqual([Math.floor(0.125 * total)]);
    expect(sent.get('sparse.values')!.data.every((x) => x !== 0)).toBe(true);
    const header = 300;
    expect(update.byteLength).toBeLessThan(8 * Math.floor(0.125 * total) + header);
    expect(downBytes).toBeLessThan(8 * Math.floor(0.25 * total) + header);
  });

  it('elements that nobody sent keep their values on the server', async () => {
    const bench = await methodBench('flasc', densities);
    const params = lively(bench.params);
    const { sent } = await bench.round({ params });
    const { params: next } = await mean(bench, params, [sent], 1);
    const changed = [...params].flatMap(([name, { data }]) =>
      [...data].filter((x, i) => x !== next.get(name)!.data[i]),
    );
    expect(changed).toHaveLength(Math.floor(0.125 * size(params)));
  });

  it('density 1 is what FedAvg’s clients send', async () => {
    const whole = await methodBench('flasc', { down: { default: 1 }, up: { default: 1 } });
    const average = await methodBench('fedavg', {});
    expect((await whole.round()).update).toEqual((await average.round()).update);
  });

  it('refuses a compression that would round places', async () => {
    const { method, tuning } = await methodBench('flasc', densities);
    const facts = { numOwners: 2, cohortSize: 2, quorum: 2, rounds: 2, tensors: tuning.tensors };
    expect(method.preconditions({ ...facts, compression: 'float16' })).toEqual([
      expect.stringContaining('places'),
    ]);
  });
});

describe('Fed-SB', () => {
  const parts = (params: Params, layerStem = STEM) => {
    const of = (part: string) => matrixOf(params.get(`${layerStem}.lora_sb_${part}.weight`)!);
    return { a: of('A'), b: of('B'), r: of('R') };
  };

  it.each(['base', 'random'])('start %s: orthonormal factors, and the base’s function', async (start) => {
    const bench = await methodBench('fed-sb', { start });
    const { a, b } = parts(bench.params);
    expect(distance(b.transpose().mmul(b), Matrices.eye(2))).toBeLessThan(1e-5);
    expect(distance(a.mmul(a.transpose()), Matrices.eye(2))).toBeLessThan(1e-5);
    await expectBase(bench, bench.params);
    if (start !== 'base') return;
    const values = await readWeight(bench.model.weights, WEIGHT);
    const { s } = svd(Matrices.from1DArray(32, 32, values));
    const core = b
      .transpose()
      .mmul(Matrices.from1DArray(32, 32, values))
      .mmul(a.transpose());
    expect(core.get(0, 0)).toBeCloseTo(s[0]!, 4);
    expect(core.get(1, 1)).toBeCloseTo(s[1]!, 4);
    expect(Math.abs(core.get(0, 1))).toBeLessThan(1e-3);
  });

  it('trains and sends cores alone, along s Bᵀ G Aᵀ', async () => {
    const bench = await methodBench('fed-sb', { start: 'random' });
    const { sent, downBytes, update } = await bench.round({ options: ONE_STEP });
    expect([...sent.keys()].every(isCore)).toBe(true);
    expect(downBytes).toBe(update.byteLength);
    const { a, b } = parts(bench.params);
    const expected = b
      .transpose()
      .mmul(await denseGradient())
      .mmul(a.transpose())
      .mul(-0.1 * SCALE);
    expect(expected.norm()).toBeGreaterThan(1e-4);
    expect(distance(matrixOf(sent.get(`${STEM}.lora_sb_R.weight`)!), expected)).toBeLessThan(
      1e-3 * expected.norm(),
    );
  });

  it('the mean of the cores is the mean of the products', async () => {
    const bench = await methodBench('fed-sb', { start: 'random' });
    const cores = (seed: string): Params =>
      new Map(
        [...bench.params].flatMap(([name, { shape, data }]) =>
          isCore(name)
            ? [
                [
                  name,
                  tensor(
                    'float32',
                    shape,
                    data.map((_, i) => rng(seed, name, i).normal()),
                  ),
                ] as const,
              ]
            : [],
        ),
      );
    const sent = [cores('ann'), cores('ben')];
    const { params: next } = await mean(bench, bench.params, sent, 3);
    const { a, b, r } = parts(next);
    const products = sent.map((own) => b.mmul(matrixOf(own.get(`${STEM}.lora_sb_R.weight`)!)).mmul(a));
    const expected = Matrices.add(Matrices.mul(products[0]!, 1 / 3), Matrices.mul(products[1]!, 2 / 3));
    expect(distance(b.mmul(r).mmul(a), expected)).toBeLessThan(1e-5);
    expect(bits(selectParams(next, isFixedFactor))).toBe(bits(selectParams(bench.params, isFixedFactor)));
  });

  it('start gradient: round 1 finds the subspace of the gradient, round 2 sends it down, then cores travel', async () => {
    const bench = await methodBench('fed-sb', {});
    const whole = { ...ONE_STEP };
    const first = await bench.round({ options: whole });
    expect([...first.sent.keys()].every(isFixedFactor)).toBe(true);
    const { params } = await mean(bench, bench.params, [first.sent], 1);
    const { a, b } = parts(params);
    expect(distance(b.transpose().mmul(b), Matrices.eye(2))).toBeLessThan(1e-5);
    expect(distance(a.mmul(a.transpose()), Matrices.eye(2))).toBeLessThan(1e-5);
    const gradient = await denseGradient();
    const held = (x: ReturnType<typeof parts>) =>
      x.b.transpose().mmul(gradient).mmul(x.a.transpose()).norm() / gradient.norm();
    expect(held({ a, b, r: a })).toBeGreaterThan(3 * held(parts(bench.params)));
    await expectBase(bench, params);
    const second = await bench.round({ round: 2, params });
    const third = await bench.round({ round: 3, params });
    expect(second.downBytes).toBeGreaterThan(4 * third.downBytes);
    expect([...third.sent.keys()].every(isCore)).toBe(true);
  });

  it('is written as LoRA with A and B R, and goes on from there', async () => {
    const bench = await methodBench('fed-sb', { start: 'random' });
    const { sent } = await bench.round();
    const params = overlaid(bench.params, addScaled(selectParams(bench.params, isCore), sent, 1));
    const file = bench.tuning.adapterTensors!(params);
    const { a, b, r } = parts(params);
    const product = matrixOf(file.get(`${STEM}.lora_B.weight`)!).mmul(
      matrixOf(file.get(`${STEM}.lora_A.weight`)!),
    );
    expect(distance(product, b.mmul(r).mmul(a))).toBeLessThan(1e-5);
    const again = parts(bench.tuning.extend!(file, rng('again')));
    expect(distance(again.b.mmul(again.r).mmul(again.a), product)).toBeLessThan(1e-5);
    expect(distance(again.b.transpose().mmul(again.b), Matrices.eye(2))).toBeLessThan(1e-5);
  });
});

describe('FeDeRA', () => {
  it('begins as the base, with the best part of rank r of each weight in the factors', async () => {
    const bench = await methodBench('federa', {});
    await expectBase(bench, bench.params);
    const weight = Matrices.from1DArray(32, 32, await readWeight(bench.model.weights, WEIGHT));
    const [a, b] = ['A', 'B'].map((factor) => matrixOf(bench.params.get(`${STEM}.lora_${factor}.weight`)!));
    const part = b!.mmul(a!).mul(SCALE);
    const tail = Math.hypot(...svd(weight).s.slice(2));
    expect(distance(weight, part)).toBeCloseTo(tail, 4);
  });

  it('sends what FedAvg sends by name and size; A₀ and B₀ stay', async () => {
    const bench = await methodBench('federa', {});
    const { sent, update, keeps } = await bench.round();
    const plain = await (await methodBench('fedavg', {})).round();
    expect([...sent.keys()]).toEqual([...plain.sent.keys()]);
    expect(update.byteLength).toBe(plain.update.byteLength);
    expect(keeps.personal.size).toBe(0);
  });

  it('the step of B is along s G Aᵀ', async () => {
    const bench = await methodBench('federa', {});
    const { sent } = await bench.round({ options: ONE_STEP });
    const a = matrixOf(bench.params.get(`${STEM}.lora_A.weight`)!);
    const expected = (await denseGradient()).mmul(a.transpose()).mul(-0.1 * SCALE);
    const actual = matrixOf(sent.get(`${STEM}.lora_B.weight`)!);
    expect(distance(actual, expected)).toBeLessThan(2e-3 * expected.norm());
  });

  it('is written as LoRA of twice the rank for the unchanged base, and read back', async () => {
    const bench = await methodBench('federa', {});
    const params = lively(bench.params);
    const file = bench.tuning.adapterTensors!(params);
    const config = bench.tuning.adapterConfig()!;
    expect([config.r, config.lora_alpha]).toEqual([4, 8]);
    expect(file.get(`${STEM}.lora_A.weight`)!.shape).toEqual([4, 32]);
    const plain = await methodBench(
      'fedavg',
      {},
      {
        ...{ kind: 'lora', rank: 4, alpha: 8, targetModules: ['q_proj', 'v_proj'] },
      },
    );
    const tokens = Int32Array.of(5, 6, 7);
    expect(await bench.engine.logits(params, tokens)).toEqual(await plain.engine.logits(file, tokens));
    const again = bench.tuning.extend!(file, rng('again'));
    expect(bits(again)).toBe(bits(params));
    expect([...again.keys()].filter(isInitialFactor)).toHaveLength(8);
  });
});

describe('SLoRA', () => {
  const options = { sparseRounds: 2, density: 0.05 };
  const residual = (bench: MethodBench, params: Params): Tensor<'float32'> =>
    bench.tuning.derivation!.forward(params).get(`${STEM}.base_residual.weight`)!;

  it('before the switch masked weights alone are trained and sent, the same ones by everybody', async () => {
    const bench = await methodBench('slora', options);
    const { sent } = await bench.round({ options: ONE_STEP });
    expect([...sent.keys()].every(isSparse)).toBe(true);
    expect(sent.get(`${STEM}.sparse.weight`)!.shape).toEqual([Math.floor(0.05 * 32 * 32)]);
    const moved = residual(bench, addScaled(bench.params, sent, 1));
    const gradient = await denseGradient();
    expect(moved.data.filter((x) => x !== 0)).toHaveLength(51);
    for (const [i, value] of moved.data.entries())
      if (value !== 0) expect(value).toBeCloseTo(-0.1 * SCALE * gradient.get(Math.floor(i / 32), i % 32), 5);
    const other = await methodBench('slora', options);
    expect(bits(other.tuning.derivation!.forward(lively(bench.params)))).toBe(
      bits(bench.tuning.derivation!.forward(lively(bench.params))),
    );
  });

  it('the switch: base weights again, and s B A is the best of its rank', async () => {
    const bench = await methodBench('slora', options);
    const ahead = lively(selectParams(bench.params, isSparse));
    const params = overlaid(bench.params, ahead);
    const dense = matrixOf(residual(bench, params));
    const before = await mean(bench, params, [selectParams(ahead, () => true)].map(zeroed), 1);
    expect(bits(before.params)).toBe(bits(params));
    const { params: after } = await mean(bench, params, [zeroed(ahead)], 2);
    expect(residual(bench, after).data.every((x) => x === 0)).toBe(true);
    const [a, b] = ['A', 'B'].map((factor) => matrixOf(after.get(`${STEM}.lora_${factor}.weight`)!));
    const tail = Math.hypot(...svd(dense).s.slice(2));
    expect(distance(b!.mmul(a!), dense)).toBeCloseTo(tail, 5);
  });

  it('after the switch it is FedIT: factors travel, the mask stays empty', async () => {
    const bench = await methodBench('slora', options);
    const plain = await methodBench('fedavg', {});
    const own = selectParams(plain.params, () => true);
    const { sent } = await bench.round({ round: 3, params: overlaid(bench.params, own) });
    const expected = (await plain.round({ round: 3 })).sent;
    expect([...sent.keys()]).toEqual([...expected.keys()]);
    for (const [name, { data }] of expected)
      for (const [i, value] of data.entries()) expect(sent.get(name)!.data[i]).toBeCloseTo(value, 5);
  });

  it('a round before the switch is written as it would be after it', async () => {
    const bench = await methodBench('slora', options);
    const params = overlaid(bench.params, lively(selectParams(bench.params, isSparse)));
    const file = bench.tuning.adapterTensors!(params);
    expect([...file.keys()].every((name) => /lora_[AB]/.test(name))).toBe(true);
    const { params: after } = await mean(bench, params, [zeroed(selectParams(params, isSparse))], 2);
    expect(bits(file)).toBe(bits(selectParams(after, (name) => !isSparse(name))));
  });

  function zeroed(params: Params): Params {
    return new Map([...params].map(([name, value]) => [name, { ...value, data: value.data.map(() => 0) }]));
  }
});

describe('FedAdapter', () => {
  const ADAPTER = { kind: 'adapter', reductionFactor: 4, nonLinearity: 'gelu' };
  const options = { depth: 1, width: 2, growEvery: 1, widerBy: 3, deeperBy: 1 };
  const shapeOf = (params: Params, layer: number) =>
    params.get(`base_model.model.model.layers.${layer}.mlp.down_proj.adapter_up.weight`)?.shape;

  it('begins narrow at the top, grows deeper and wider in turn, and sends what is there', async () => {
    const bench = await methodBench('fedadapter', options, ADAPTER);
    const sizes = [];
    for (const round of [1, 2, 3]) {
      const { sent, downBytes, update } = await bench.round({ round });
      expect(downBytes).toBe(update.byteLength);
      sizes.push([shapeOf(sent, 0), shapeOf(sent, 1)]);
    }
    expect(sizes).toEqual([
      [undefined, [32, 2]],
      [
        [32, 2],
        [32, 2],
      ],
      [
        [32, 5],
        [32, 5],
      ],
    ]);
  });

  it('what is not there yet stays zero through training, and growth keeps the function', async () => {
    const bench = await methodBench('fedadapter', options, ADAPTER);
    const trained = { round: 2, options: { optimizer: { ...ADAM, weightDecay: 0.1 } } };
    const { sent } = await bench.round(trained);
    const still = await mean(bench, bench.params, [sent], 1);
    const grown = await mean(bench, bench.params, [sent], 2);
    const down = 'base_model.model.model.layers.1.mlp.down_proj.adapter_down.weight';
    const rows = ({ data }: Tensor<'float32'>) =>
      Array.from({ length: 8 }, (_, row) => data.subarray(32 * row, 32 * row + 32).some((x) => x !== 0));
    expect(rows(still.params.get(down)!)).toEqual([true, true, false, false, false, false, false, false]);
    expect(rows(grown.params.get(down)!)).toEqual([true, true, true, true, true, false, false, false]);
    const tokens = Int32Array.of(5, 6, 7);
    const [before, after] = [still, grown].map(({ params }) => bench.engine.logits(params, tokens));
    expect(await after).toEqual(await before);
    expect(await after).not.toEqual(await bench.engine.logits(bench.params, tokens));
  });

  it('narrow tensors arrive in their places', async () => {
    const bench = await methodBench('fedadapter', options, ADAPTER);
    const { sent } = await bench.round({ round: 2 });
    const { params } = await mean(bench, bench.params, [sent, sent], 2);
    const up = 'base_model.model.model.layers.1.mlp.down_proj.adapter_up.weight';
    const [whole, narrow] = [params.get(up)!.data, sent.get(up)!.data];
    for (let row = 0; row < 32; row++)
      for (let column = 0; column < 8; column++)
        expect(whole[8 * row + column]).toBeCloseTo(column < 2 ? narrow[2 * row + column]! : 0, 6);
  });
});

const ADAM = {
  ...{ kind: 'adamw' as const, learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
  ...{ weightDecay: 0, momentum: 0 },
};
