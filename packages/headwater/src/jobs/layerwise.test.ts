import { describe, expect, it } from 'vitest';
import { methodBench } from '../../test/support/method-bench.ts';
import type { Params } from '../base/tensor.ts';
import { adaptedLayers } from '../federation/adapted-layers.ts';
import { aggregateRound } from '../federation/aggregate.ts';
import { planFixedPoint } from '../federation/fixed-point.ts';
import { encodeParams } from '../federation/params.ts';
import type { LocalTraining } from '../training/engine.ts';

const bits = (params: Params) => Buffer.from(encodeParams(params)).toString('hex');
const layersOf = (params: Params) => adaptedLayers([...params.keys()].map((name) => ({ name, shape: [] })));
const ADAPTER = { kind: 'adapter', reductionFactor: 4 };

describe('ChainFed', () => {
  it('trains and sends the window, which moves up by a block a round and begins again', async () => {
    const bench = await methodBench('chainfed', { window: 1, lambda: 0 });
    const seen: LocalTraining[] = [];
    for (const [round, layer] of [
      [1, 0],
      [2, 1],
      [3, 0],
    ] as const) {
      const { sent } = await bench.round({ round, seen: (_start, _own, local) => seen.push(local) });
      expect(layersOf(sent)).toEqual([layer]);
      expect([...sent.values()].some(({ data }) => data.some((x) => x !== 0))).toBe(true);
    }
    const bytes = await Promise.all([1, 2].map(async (round) => (await bench.round({ round })).downBytes));
    expect(bytes[0]!).toBeLessThan(0.6 * bytes[1]!);
    const held = seen.map(({ frozen }) => layersOf(new Map([...frozen!].map((name) => [name, null!]))));
    expect(held).toEqual([[1], [0], [1]]);
    expect(seen.map(({ part }) => part?.skippedFrom)).toEqual([1, undefined, 1]);
  });

  it('Q = all blocks without the global term is FedAvg, bit for bit', async () => {
    const [chain, whole] = [
      await methodBench('chainfed', { window: 2, lambda: 0 }),
      await methodBench('fedavg', {}),
    ];
    expect((await chain.round()).update).toEqual((await whole.round()).update);
  });

  it('L = L_local + λ L_global: the step is along the gradient of the sum', async () => {
    const bench = await methodBench('chainfed', { window: 1, lambda: 0.5 }, ADAPTER);
    const lively = new Map(
      [...bench.params].map(([name, value]) => [
        name,
        { ...value, data: value.data.map((x, i) => x + 0.1 * Math.sin(i)) },
      ]),
    );
    const one = { steps: 1, batchSize: 6, microBatchSize: 6 };
    const { maxGradNorm: _, ...rest } = { maxGradNorm: undefined, ...one };
    const { sent } = await bench.round({ params: lively, options: { ...rest, maxGradNorm: 1e9 } });
    const pass = { skipped: new Set<number>(), skippedFrom: 1 };
    const at = { maxLength: 64 };
    const local = await bench.engine.gradients(lively, bench.examples, { ...at, part: pass });
    const global = await bench.engine.gradients(lively, bench.examples, {
      ...at,
      part: { ...pass, bypass: true },
    });
    expect(Math.abs(global.loss - local.loss)).toBeGreaterThan(1e-4);
    for (const [name, { data }] of sent)
      for (const [i, moved] of data.entries())
        expect(moved).toBeCloseTo(
          -0.1 * (local.grads.get(name)!.data[i]! + 0.5 * global.grads.get(name)!.data[i]!),
          5,
        );
  });

  it('a global term needs adapters that can act alone', async () => {
    const { method, tuning } = await methodBench('chainfed', { window: 1 });
    const facts = { numOwners: 2, cohortSize: 2, quorum: 2, rounds: 2, tensors: tuning.tensors };
    expect(method.preconditions(facts)).toEqual([expect.stringContaining('tuning.kind adapter')]);
    const fits = await methodBench('chainfed', { window: 1 }, ADAPTER);
    expect(fits.method.preconditions({ ...facts, tensors: fits.tuning.tensors })).toEqual([]);
  });
});

describe('FedRA', () => {
  const half = { capacity: { default: 0.5 } };

  it('an owner gets as many blocks as it has room for, others in other rounds, and sends A and B of these', async () => {
    const { method, tuning, round } = await methodBench('fedra', {
      capacity: { owners: { ann: 0.5, ben: 1 } },
    });
    const drawn = new Set<number>();
    for (let r = 1; r <= 12; r++) {
      const own = method.wire(tuning.tensors, r, 'ann');
      expect(own).toHaveLength(4);
      expect(adaptedLayers(own)).toHaveLength(1);
      drawn.add(adaptedLayers(own)[0]!);
      expect(method.wire(tuning.tensors, r, 'ben')).toHaveLength(8);
    }
    expect(drawn.size).toBe(2);
    let seen: LocalTraining = {};
    const { sent, downBytes, update } = await round({ seen: (_start, _own, local) => (seen = local) });
    expect([...sent.keys()]).toEqual(method.wire(tuning.tensors, 1, 'ann').map(({ name }) => name));
    expect([...seen.part!.skipped]).not.toContain(layersOf(sent)[0]);
    expect(downBytes).toBe(update.byteLength);
  });

  it('a block is averaged over those who had it; A and B of a block that nobody had stay', async () => {
    const { method, tuning, params } = await methodBench('fedra', half);
    const plan = planFixedPoint(tuning.tensors, { fractionBits: 30, range: 8 });
    const [lower, upper] = [0, 1].map((layer) =>
      tuning.tensors.filter(({ name }) => name.includes(`layers.${layer}.`)),
    );
    const filled = (value: number): Params =>
      new Map(
        lower!.map(({ name }) => [
          name,
          { ...params.get(name)!, data: params.get(name)!.data.map(() => value) },
        ]),
      );
    const members = [
      { owner: 'ann', update: '1', aggregationWeight: 3 },
      { owner: 'ben', update: '5', aggregationWeight: 1 },
    ];
    const input = { round: 1, params, serverState: undefined, serverLearningRate: 1, members };
    const next = await aggregateRound(method, plan, input, async (update) => filled(Number(update)));
    for (const { name } of upper!)
      expect([...next.params.get(name)!.data]).toEqual([...params.get(name)!.data]);
    for (const { name } of lower!)
      for (const [i, value] of next.params.get(name)!.data.entries())
        expect(value).toBeCloseTo(params.get(name)!.data[i]! + 2, 5);
  });

  it('a full share of the blocks is FedAvg’s round, bit for bit', async () => {
    const [all, whole] = [
      await methodBench('fedra', { capacity: { default: 1 } }),
      await methodBench('fedavg', {}),
    ];
    expect(bits((await all.round()).sent)).toBe(bits((await whole.round()).sent));
  });
});
