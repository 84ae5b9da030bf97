import { describe, expect, it } from 'vitest';
import { federation, quadratic } from '../../../test/support/quadratic-federation.ts';
import { type Params, tensor } from '../../base/tensor.ts';
import { bindMethod } from '../method.ts';
import { methods } from './registry.ts';

const OWNERS = [
  quadratic([1, 1], [1, -1], { weight: 3, floor: 1 }),
  quadratic([1, 1], [-2, 0.5], { weight: 1, floor: 1 }),
  quadratic([1, 1], [0.5, 2], { weight: 2, floor: 1 }),
];
const dataOf = (params: Params | undefined, name = 'w') => [...params!.get(name)!.data];

describe('q-FedAvg', () => {
  it('q = 0 is FedAvg with the same weights', async () => {
    const [plain, fair] = [
      await federation('fedavg', {}, OWNERS),
      await federation('q-fedavg', { q: 0 }, OWNERS),
    ];
    for (let round = 0; round < 4; round++) {
      await plain.round();
      await fair.round();
      for (const i of [0, 1]) expect(fair.w()[i]).toBeCloseTo(plain.w()[i]!, 6);
    }
  });

  it('is the formula, for two owners and q = 2', () => {
    const record = methods.get('q-fedavg')!;
    const { combine } = bindMethod(record, record.options.parse({ q: 2 }));
    const sent = (loss: number, ...move: number[]): Params =>
      new Map([
        ['q-fedavg/loss', tensor('float32', [1], Float32Array.of(loss))],
        ['q-fedavg/smoothness', tensor('float32', [1], Float32Array.of(4))],
        ['w', tensor('float32', [2], Float32Array.from(move))],
      ]);
    const updates = [
      { owner: 'a', aggregationWeight: 1, update: sent(2, 0.5, 0) },
      { owner: 'b', aggregationWeight: 1, update: sent(1, 0, -0.25) },
    ];
    const mean = combine!(updates, { round: 1, params: new Map(), state: undefined });
    // L = 4: numerators 4 (.5, 0) + 1 (0, −.25); denominators 2·2·4·.25 + 4 = 8 and 2·1·4·.0625 + 1 = 1.5.
    expect(dataOf(mean)[0]).toBeCloseTo(2 / 9.5, 6);
    expect(dataOf(mean)[1]).toBeCloseTo(-0.25 / 9.5, 6);
    expect([...mean.keys()]).toEqual(['w']);
  });

  it('the larger q, the closer together the owners’ losses', async () => {
    const spread: number[] = [];
    for (const q of [0, 1, 5]) {
      const fed = await federation('q-fedavg', { q }, OWNERS);
      for (let round = 0; round < 200; round++) await fed.round();
      const losses = OWNERS.map(({ loss }) => loss(fed.w()));
      const mean = losses.reduce((a, b) => a + b, 0) / losses.length;
      spread.push(losses.reduce((sum, loss) => sum + (loss - mean) ** 2, 0));
    }
    expect(spread[1]!).toBeLessThan(0.9 * spread[0]!);
    expect(spread[2]!).toBeLessThan(0.9 * spread[1]!);
  });

  it('a loss of zero is no division by zero', async () => {
    const perfect = [quadratic([1, 1], [0, 0], { floor: 0 }), OWNERS[0]!];
    const fed = await federation('q-fedavg', { q: 0.2 }, perfect);
    await fed.round();
    expect(fed.w().every(Number.isFinite)).toBe(true);
  });
});

describe('Ditto', () => {
  it('its global path is FedAvg’s, bit for bit', async () => {
    const [plain, personal] = [await federation('fedavg', {}, OWNERS), await federation('ditto', {}, OWNERS)];
    for (let round = 0; round < 4; round++) {
      await plain.round();
      await personal.round();
      expect(personal.w()).toEqual(plain.w());
    }
  });

  it('λ = 0 is an owner alone', async () => {
    const together = await federation('ditto', { lambda: 0 }, OWNERS);
    const alone = await federation('fedavg', {}, [OWNERS[1]!]);
    for (let round = 0; round < 4; round++) {
      await together.round();
      await alone.round();
      for (const i of [0, 1]) expect(dataOf(together.memories[1])[i]).toBeCloseTo(alone.w()[i]!, 6);
    }
  });

  it('λ holds the own model to the global one, and the owner is scored with its own', async () => {
    const distances: number[] = [];
    for (const lambda of [0, 1, 8]) {
      const fed = await federation('ditto', { lambda }, OWNERS);
      for (let round = 0; round < 20; round++) await fed.round();
      const memory = fed.memories[1];
      const own = fed.method.ownParams(fed.params, { personal: new Map(), memory });
      expect(dataOf(own)).toEqual(dataOf(memory));
      distances.push(Math.hypot(...dataOf(own).map((x, i) => x - fed.w()[i]!)));
    }
    expect(distances[1]!).toBeLessThan(distances[0]!);
    expect(distances[2]!).toBeLessThan(distances[1]!);
  });

  it('an owner that never took part uses the global model', async () => {
    const fed = await federation('ditto', {}, OWNERS);
    await fed.round([0]);
    expect(fed.method.ownParams(fed.params, { personal: new Map(), memory: undefined })).toEqual(fed.params);
  });
});

describe('IFCA', () => {
  const GROUPS = [
    quadratic([1, 1], [2, 2]),
    quadratic([1, 1], [2.2, 1.8]),
    quadratic([1, 1], [-2, -2]),
    quadratic([1, 1], [-1.8, -2.2]),
  ];

  it('one cluster is FedAvg', async () => {
    const [plain, one] = [
      await federation('fedavg', {}, OWNERS),
      await federation('ifca', { clusters: 1 }, OWNERS),
    ];
    for (let round = 0; round < 4; round++) {
      await plain.round();
      await one.round();
      for (const i of [0, 1]) expect(one.w()[i]).toBeCloseTo(plain.w()[i]!, 6);
    }
  });

  it('finds the groups, and owners use the model of theirs', async () => {
    const fed = await federation('ifca', { clusters: 2, spread: 0.5 }, GROUPS);
    for (let round = 0; round < 40; round++) await fed.round();
    const own = fed.memories.map((memory) =>
      dataOf(fed.method.ownParams(fed.params, { personal: new Map(), memory })),
    );
    for (const k of [0, 1]) for (const x of own[k]!) expect(x).toBeGreaterThan(1.5);
    for (const k of [2, 3]) for (const x of own[k]!) expect(x).toBeLessThan(-1.5);
  });

  it('a model that nobody chose stays as it is', async () => {
    const fed = await federation('ifca', { clusters: 3, spread: 0.5 }, GROUPS);
    const before = fed.params;
    await fed.round([0]);
    const changed = [...fed.params].filter(
      ([name, { data }]) => !data.every((x, i) => x === before.get(name)!.data[i]),
    );
    expect(changed).toHaveLength(1);
    const chosen = fed.memories[0]!.get('ifca/choice')!.data[0]!;
    expect(changed[0]![0]).toBe(chosen === 0 ? 'w' : `cluster-${chosen + 1}/w`);
  });

  it('every model is published, under the tensors’ own names', async () => {
    const fed = await federation('ifca', { clusters: 3, spread: 0.5 }, GROUPS);
    const others = fed.method.alsoPublished(fed.params);
    expect([...others.keys()]).toEqual(['-2', '-3']);
    for (const [suffix, params] of others)
      expect(dataOf(params)).toEqual(dataOf(fed.params, `cluster${suffix}/w`));
  });

  it('the models differ at the start, also when the run goes on from an adapter', async () => {
    const { params } = await federation('ifca', { clusters: 2 }, GROUPS);
    expect(dataOf(params)).not.toEqual(dataOf(params, 'cluster-2/w'));
    expect(dataOf(params)).not.toEqual([0, 0]);
  });
});
