import { describe, expect, it } from 'vitest';
import { type Params, tensor } from '../../base/tensor.ts';
import { aggregateRound } from '../aggregate.ts';
import { planFixedPoint } from '../fixed-point.ts';
import { bindMethod, type Method } from '../method.ts';
import { fedavg } from './fedavg.ts';

const params = (...values: number[]): Params =>
  new Map([['w', tensor('float32', [values.length], Float32Array.from(values))]]);
const plan = planFixedPoint([{ name: 'w', shape: [2] }], { fractionBits: 30, range: 8 });

async function oneRound(method: Method<Record<string, never>>, serverLearningRate: number) {
  const updates: Record<string, Params> = { x: params(1, 0), y: params(-2, 4) };
  const members = [
    { owner: 'a', update: 'x', aggregationWeight: 3 },
    { owner: 'b', update: 'y', aggregationWeight: 1 },
  ];
  const input = { round: 1, params: params(10, 20), serverState: undefined, members, serverLearningRate };
  return aggregateRound(bindMethod(method, {}), plan, input, async (name) => updates[name]!);
}

describe('fedavg', () => {
  it('adds η times the weighted mean of the updates', async () => {
    const { params: next, aggregateNorm } = await oneRound(fedavg, 2);
    // mean = (3·(1, 0) + 1·(−2, 4)) / 4 = (0.25, 1)
    expect([...next.get('w')!.data]).toEqual([10.5, 22]);
    expect(aggregateNorm).toBeCloseTo(Math.hypot(0.25, 1), 12);
  });

  it('with one client and η = 1 the client’s params become the global ones', async () => {
    const method = bindMethod(fedavg, {});
    const members = [{ owner: 'a', update: 'u', aggregationWeight: 17 }];
    const input = {
      round: 1,
      params: params(0.5, -0.25),
      serverState: undefined,
      members,
      serverLearningRate: 1,
    };
    const { params: next } = await aggregateRound(method, plan, input, async () => params(0.125, 1));
    expect([...next.get('w')!.data]).toEqual([0.625, 0.75]);
  });
});

describe('method slots', () => {
  it('a canonical rule sees every update in the order of the owners', async () => {
    const seen: string[][] = [];
    const median: Method<Record<string, never>> = {
      ...fedavg,
      id: 'first-only',
      aggregate: {
        kind: 'canonical',
        combine(updates) {
          seen.push(updates.map(({ owner, aggregationWeight }) => `${owner}:${aggregationWeight}`));
          return updates[0]!.update;
        },
      },
    };
    const { params: next } = await oneRound(median, 1);
    expect(seen).toEqual([['a:3', 'b:1']]);
    expect([...next.get('w')!.data]).toEqual([11, 20]);
  });

  it('a server step keeps its state', async () => {
    const momentum: Method<Record<string, never>> = {
      ...fedavg,
      serverStep: ({ params: start, aggregate, state }) => ({ params: start, state: state ?? aggregate }),
    };
    const { params: next, serverState } = await oneRound(momentum, 1);
    expect([...next.get('w')!.data]).toEqual([10, 20]);
    expect([...serverState!.get('w')!.data]).toEqual([0.25, 1]);
  });

  it('personal tensors do not travel', () => {
    const tensors = [
      { name: 'lora_A', shape: [1] },
      { name: 'lora_B', shape: [1] },
    ];
    const personal = bindMethod(
      { ...fedavg, selectTrainable: ({ name }) => (name.endsWith('B') ? 'personal' : 'shared') },
      {},
    );
    expect(personal.wire(tensors, 1, 'ann').map(({ name }) => name)).toEqual(['lora_A']);
    expect(bindMethod(fedavg, {}).wire(tensors, 1, 'ann')).toHaveLength(2);
  });
});
