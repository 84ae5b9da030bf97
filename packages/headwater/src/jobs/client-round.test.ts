import { describe, expect, it } from 'vitest';
import { setup, TRAIN, toyExamples } from '../../test/training-setup.ts';
import { type Params, tensor } from '../base/tensor.ts';
import { plain } from '../federation/compression/none.ts';
import { bindMethod, type Method } from '../federation/method.ts';
import { methods } from '../federation/methods/registry.ts';
import { decodeParams, differenceOf, l2Norm } from '../federation/params.ts';
import type { LocalTraining } from '../training/engine.ts';
import { lora } from '../tuning/lora.ts';
import { type ClientRoundResult, trainClientRound } from './client-round.ts';

const { engine, params, model, tuning } = await setup('huggingface/llama', ({ definition }) =>
  lora.bind(lora.options.parse({ rank: 2, targetModules: ['q_proj', 'v_proj'] }), definition),
);
const examples = toyExamples([9, 12, 5, 17], model.definition.shape.vocabSize);
const sgd = { ...TRAIN.optimizer, kind: 'sgd' as const, learningRate: 0.1, weightDecay: 0 };

interface Asked {
  readonly round?: number;
  readonly kept?: Params;
  readonly seen?: (local: LocalTraining) => void;
}

async function roundOf(id: string, options: object, { round = 1, kept, seen }: Asked = {}) {
  const record = methods.get(id)!;
  const parts = {
    engine: {
      ...engine,
      train: (...[start, own, how, onStep, local]: Parameters<typeof engine.train>) => {
        seen?.(local ?? {});
        return engine.train(start, own, how, onStep, local);
      },
    },
    tensors: tuning.tensors,
    method: bindMethod(record, record.options.parse(options)),
    compression: plain,
  };
  const input = { seed: 1, round, owner: 'ann', params, kept, examples };
  return trainClientRound(parts, { ...input, options: { ...TRAIN, optimizer: sgd } });
}

const sentBy = ({ update }: ClientRoundResult): Params => decodeParams(update);
const factors = (of: Params): Set<string> =>
  new Set([...of.keys()].map((name) => /lora_([AB])/.exec(name)![1]!));

describe('what a client sends and keeps', () => {
  it('FedAvg: both factors, and keeps nothing', async () => {
    const result = await roundOf('fedavg', {});
    expect(factors(sentBy(result))).toEqual(new Set(['A', 'B']));
    expect(result.kept).toBeUndefined();
  });

  it('FFA-LoRA: B alone; A has no gradient and no optimizer state, and is not kept either', async () => {
    let frozen: ReadonlySet<string> = new Set();
    const result = await roundOf('ffa-lora', {}, { seen: (local) => (frozen = local.frozen ?? frozen) });
    expect(factors(sentBy(result))).toEqual(new Set(['B']));
    expect(result.kept).toBeUndefined();
    expect([...frozen].sort()).toEqual([...params.keys()].filter((name) => name.includes('lora_A')).sort());
  });

  it('RoLoRA: B in odd rounds, A in even ones', async () => {
    for (const [round, factor] of [
      [1, 'B'],
      [2, 'A'],
      [3, 'B'],
    ] as const)
      expect(factors(sentBy(await roundOf('rolora', {}, { round })))).toEqual(new Set([factor]));
  });

  it('FedSA-LoRA: A is sent, B is kept and goes on where it was', async () => {
    const first = await roundOf('fedsa-lora', {});
    expect(factors(sentBy(first))).toEqual(new Set(['A']));
    expect(factors(first.kept!)).toEqual(new Set(['B']));
    const second = await roundOf('fedsa-lora', {}, { round: 2, kept: first.kept! });
    expect(l2Norm(differenceOf(second.kept!, first.kept!))).toBeGreaterThan(0);
    const fresh = await roundOf('fedsa-lora', {}, { round: 2 });
    expect(l2Norm(differenceOf(second.kept!, fresh.kept!))).toBeGreaterThan(0);
  });
});

describe('frozen tensors', () => {
  it('stay bit for bit, and the others move as they would with a gradient of their own alone', async () => {
    const frozen = new Set([...params.keys()].filter((name) => name.includes('lora_A')));
    const options = { ...TRAIN, optimizer: sgd, steps: 1 };
    const { maxGradNorm: _, ...unclipped } = options;
    const all = await engine.train(params, examples, unclipped);
    const some = await engine.train(params, examples, unclipped, undefined, { frozen });
    for (const [name, { data }] of some.params)
      expect([...data]).toEqual([...(frozen.has(name) ? params : all.params).get(name)!.data]);
  });
});

describe('FedProx', () => {
  it('adds μ (w − wᵗ) to the gradient: nothing in the first step, and the larger μ, the less clients move', async () => {
    const lengths: number[] = [];
    for (const mu of [0, 0.5, 5]) lengths.push(l2Norm(sentBy(await roundOf('fedprox', { mu }))));
    expect(lengths[1]!).toBeLessThan(lengths[0]!);
    expect(lengths[2]!).toBeLessThan(lengths[1]!);
    const terms: ReturnType<NonNullable<LocalTraining['extraGradient']>>[] = [];
    await roundOf(
      'fedprox',
      { mu: 2 },
      { seen: ({ extraGradient }) => terms.push(extraGradient?.(params, [])) },
    );
    expect(l2Norm((await terms[0])!)).toBe(0);
    const record = methods.get('fedprox')!;
    const moved: Params = new Map(
      [...params].map(([name, value]) => [name, { ...value, data: value.data.map((x) => x + 0.5) }]),
    );
    const method = bindMethod(record, record.options.parse({ mu: 2 }));
    for (const { data } of method.localObjective!({ params: moved, start: params })!.values())
      for (const value of data) expect(value).toBeCloseTo(1, 5);
  });

  it('μ = 0 is FedAvg, bit for bit', async () => {
    expect((await roundOf('fedprox', { mu: 0 })).update).toEqual((await roundOf('fedavg', {})).update);
  });
});

describe('a method that takes a client’s whole round', () => {
  /** Sends how far the loss fell, and counts its rounds at home. */
  const counting: Method<Record<string, never>> = {
    ...(methods.get('fedavg') as unknown as Method<Record<string, never>>),
    id: 'counting',
    wire: () => [{ name: 'fall', shape: [1] }],
    async client({ start, memory, train, loss, statsOf, steps }) {
      const before = await loss(start, 0);
      const { params: after } = await train(start);
      const fall = before - (await loss(after, 0));
      const rounds = (memory?.get('rounds')?.data[0] ?? 0) + 1;
      return {
        update: new Map([['fall', tensor('float32', [1], Float32Array.of(fall))]]),
        memory: new Map([['rounds', tensor('float32', [1], Float32Array.of(rounds))]]),
        stats: statsOf(new Array<number>(steps).fill(before)),
      };
    },
  };

  it('has the primitives, tensors of its own on the wire, and a memory', async () => {
    const parts = { engine, tensors: tuning.tensors, method: bindMethod(counting, {}), compression: plain };
    const input = { seed: 1, round: 1, owner: 'ann', params, kept: undefined, examples };
    const options = { ...TRAIN, optimizer: sgd };
    const first = await trainClientRound(parts, { ...input, options });
    expect(sentBy(first).get('fall')!.data[0]).toBeGreaterThan(0);
    const second = await trainClientRound(parts, { ...input, options, kept: first.kept });
    expect([...second.kept!.values()].map(({ data }) => data[0])).toEqual([2]);
    expect(second.update).toEqual(first.update);
    expect(second.stats.steps).toBe(TRAIN.steps);
  });
});
