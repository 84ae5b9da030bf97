import { describe, expect, it } from 'vitest';
import {
  type FederationOptions,
  type ModelFederation,
  modelFederation,
} from '../../../test/support/model-federation.ts';
import { distance } from '../../../test/training-setup.ts';
import { rng } from '../../base/random.ts';
import type { Params } from '../../base/tensor.ts';
import { full } from '../../tuning/full.ts';
import type { ModelLayout } from '../../tuning/kind.ts';
import { lora } from '../../tuning/lora.ts';
import { drawSeed } from '../directions.ts';
import { bindMethod, type RunFacts } from '../method.ts';
import { decodeParams, differenceOf, encodeParams } from '../params.ts';
import { displaced, slopeAlong } from '../zeroth-order.ts';
import { methods } from './registry.ts';

const bindLora = (layout: ModelLayout) =>
  lora.bind(lora.options.parse({ rank: 2, targetModules: ['q_proj', 'v_proj'] }), layout);
const bindFull = (layout: ModelLayout) => full.bind(full.options.parse({}), layout);

const bytes = (params: Params) => Buffer.from(encodeParams(params)).toString('base64');
const model = ({ tuning }: ModelFederation, held: Params) => tuning.derivation?.forward(held) ?? held;

const no = (what: string) => () => {
  throw new Error(`${what} was called`);
};
/** Passes for losses only. */
const NO_GRADIENTS = { gradients: no('gradients'), train: no('train') };

describe.each([
  ['fedmezo', { perturbations: 2 }],
  ['fedkseed', { seeds: 8 }],
  ['decomfl', { perturbations: 2 }],
  ['fwdllm', { perturbations: 2, candidates: 2, varianceThreshold: 1e9 }],
  ['spry', {}],
  ['spry', { exchange: 'slopes' }],
])('%s with %o', (id, options) => {
  it.each([
    ['LoRA', bindLora],
    ['all weights', bindFull],
  ])('on %s: two rounds, and no session that could go backwards', async (_, bind) => {
    const localSteps = 'exchange' in options ? 1 : 2;
    const federation = await modelFederation(id, { options, bind, localSteps, learningRate: 1e-3 });
    const after = await federation.run(2);
    expect(federation.sessions.length).toBeGreaterThan(0);
    expect(federation.sessions.filter((label) => !label.startsWith('score'))).toEqual([]);
    expect(bytes(model(federation, after[1]!))).not.toBe(bytes(model(federation, federation.initial)));
    expect(bytes((await federation.run(2))[1]!)).toBe(bytes(after[1]!));
  });
});

it.each(['fedkseed', 'decomfl', 'fwdllm'])('%s asks the engine for losses alone', async (id) => {
  const federation = await modelFederation(id, { bind: bindLora, engine: NO_GRADIENTS });
  await expect(federation.client(1, 'ann', federation.initial)).resolves.toBeDefined();
});

describe('SPRY', () => {
  const names = (params: Params) => [...params.keys()].sort();

  it('the Jacobian-vector product is gᵀv, to the precision of float32 losses', async () => {
    const { engine, initial, examples } = await modelFederation('spry', { bind: bindLora });
    const params = displaced(initial, { seed: [8, 8], kind: 'normal', covers: () => true }, 0.1);
    const own = examples.get('ann')!;
    const { grads } = await engine.gradients(params, own, { maxLength: 64 });
    const total = (scores: Awaited<ReturnType<typeof engine.score>>, of: 'nll' | 'numTargets') =>
      scores.reduce((sum, score) => sum + score[of], 0);
    const loss = async (at: Params) => {
      const scores = await engine.score(at, own, { batchSize: 4, maxLength: 64 });
      return total(scores, 'nll') / total(scores, 'numTargets');
    };
    const stream = rng('jvp');
    const slopes: [number, number][] = [];
    for (let i = 0; i < 8; i++) {
      const direction = { seed: drawSeed(stream), kind: 'normal' as const, covers: () => true };
      const v = differenceOf(displaced(params, direction, 1), params);
      const exact = [...grads].reduce(
        (sum, [name, { data }]) => sum + data.reduce((s, g, j) => s + g * v.get(name)!.data[j]!, 0),
        0,
      );
      slopes.push([(await slopeAlong(loss, params, direction, 1e-3)).slope, exact]);
    }
    const size = Math.hypot(...slopes.map(([, exact]) => exact));
    expect(Math.hypot(...slopes.map(([found, exact]) => found - exact)) / size).toBeLessThan(5e-3);
  });

  it('a client sends its part, both factors of a module together; over the rounds it holds every part', async () => {
    const { client, initial } = await modelFederation('spry', { options: { groups: 2 }, bind: bindLora });
    const parts = await Promise.all(
      [1, 2, 3].map(async (round) => names(decodeParams((await client(round, 'ann', initial)).update))),
    );
    expect(parts[0]).not.toEqual(parts[1]);
    expect(parts[2]).toEqual(parts[0]);
    expect([...parts[0]!, ...parts[1]!].sort()).toEqual(names(initial));
    for (const part of parts)
      expect(part.filter((name) => name.includes('lora_A')).map((name) => name.replace('_A', '_B'))).toEqual(
        part.filter((name) => name.includes('lora_B')),
      );
  });

  it('what nobody holds stays as it is; the holders of a tensor share its mean', async () => {
    const { client, server, initial } = await modelFederation('spry', {
      options: { groups: 2 },
      bind: bindLora,
    });
    const ann = (await client(1, 'ann', initial)).update;
    const held = decodeParams(ann);
    const { params } = await server(1, initial, { ann });
    for (const [name, { data }] of params)
      if (held.has(name)) expect(data).not.toEqual(initial.get(name)!.data);
      else expect(data).toEqual(initial.get(name)!.data);
    for (const [name, { data }] of (await server(1, initial, { ann, cid: ann })).params)
      for (const [i, x] of data.entries()) expect(x).toBeCloseTo(params.get(name)!.data[i]!, 6);
  });

  it('slopes and params are the same round of one step', async () => {
    const common = { bind: bindLora, localSteps: 1, owners: ['ann', 'ben', 'cid'] };
    const after = await Promise.all(
      ['params', 'slopes'].map(async (exchange) => {
        const federation = await modelFederation('spry', {
          ...common,
          options: { exchange, perturbations: 2 },
        });
        return { initial: federation.initial, params: (await federation.run(1))[0]! };
      }),
    );
    const [params, slopes] = after as [(typeof after)[0], (typeof after)[0]];
    expect(distance(slopes.params, params.params)).toBeLessThan(
      1e-3 * distance(params.params, params.initial),
    );
  });

  it('an epoch’s part or three small tensors go up', async () => {
    const { client, initial } = await modelFederation('spry', {
      options: { exchange: 'slopes', perturbations: 5 },
      bind: bindFull,
      localSteps: 1,
    });
    const { update } = await client(1, 'ann', initial);
    expect(update.byteLength).toBeLessThan(4 * (5 + 2 + 1) + 3 * 90);
  });
});

describe('FwdLLM', () => {
  const chosen = (varianceThreshold: number): FederationOptions => ({
    ...{ options: { perturbations: 4, varianceThreshold }, bind: bindLora, owners: ['ann', 'ben', 'cid'] },
  });

  it('does not step while the halves disagree, and forgets nothing', async () => {
    const { client, server, initial } = await modelFederation('fwdllm', chosen(1e-12));
    const sent = {
      ann: (await client(1, 'ann', initial)).update,
      ben: (await client(1, 'ben', initial)).update,
    };
    const first = await server(1, initial, sent);
    expect(bytes(first.params)).toBe(bytes(initial));
    const second = await server(2, first.params, sent, first.serverState);
    expect(bytes(second.params)).toBe(bytes(initial));
    expect([...second.serverState!.get('fwdllm.weights')!.data]).toEqual([2, 4]);
  });

  it('steps by −lr times the weighted mean of all estimates once they agree, and begins anew', async () => {
    const wary = await modelFederation('fwdllm', chosen(1e-12));
    const { client, initial } = wary;
    const sent = {
      ann: (await client(1, 'ann', initial)).update,
      ben: (await client(1, 'ben', initial)).update,
    };
    const waiting = await wary.server(1, initial, sent);
    const cid = { cid: (await client(2, 'cid', initial)).update };
    const ready = await modelFederation('fwdllm', chosen(1e9));
    const { params, serverState } = await ready.server(2, initial, cid, waiting.serverState);
    expect(serverState).toBeUndefined();
    const [ann, ben, other] = [sent.ann, sent.ben, cid.cid].map((update) => decodeParams(update)) as [
      Params,
      Params,
      Params,
    ];
    for (const [name, { data }] of differenceOf(params, initial))
      for (const [i, x] of data.entries()) {
        const at = (update: Params) => update.get(name)!.data[i]!;
        expect(x).toBeCloseTo((-0.01 * (at(ann) + 2 * at(ben) + at(other))) / 4, 6);
      }
  });

  it('one estimate has no variance: it waits for a second', async () => {
    const { client, server, initial } = await modelFederation('fwdllm', chosen(1e9));
    const { update } = await client(1, 'ann', initial);
    expect(bytes((await server(1, initial, { ann: update })).params)).toBe(bytes(initial));
  });

  it('chooses directions along the last gradient that it saw', async () => {
    const cosines: number[] = [];
    for (const candidates of [1, 20]) {
      const options = { perturbations: 2, candidates };
      const { client, initial } = await modelFederation('fwdllm', { options, bind: bindLora, localSteps: 1 });
      const { kept } = await client(1, 'ann', initial);
      const step = displaced(initial, { seed: [4, 4], kind: 'normal', covers: () => true }, 0.01);
      const { update } = await client(2, 'ann', step, kept);
      const estimate = decodeParams(update);
      const last = differenceOf(initial, step);
      const dot = (a: Params, b: Params) =>
        [...b].reduce(
          (sum, [name, { data }]) => sum + data.reduce((s, x, i) => s + x * a.get(name)!.data[i]!, 0),
          0,
        );
      cosines.push(Math.abs(dot(estimate, last)) / Math.sqrt(dot(last, last)));
    }
    expect(cosines[1]!).toBeGreaterThan(cosines[0]!);
  });
});

describe('what a recipe must not ask of them', () => {
  const facts: RunFacts = {
    numOwners: 2,
    cohortSize: 2,
    quorum: 2,
    rounds: 2,
    localSteps: 2,
    tensors: [{ name: 'w', shape: [2] }],
  };
  const adamw = {
    kind: 'adamw',
    learningRate: 1,
    beta1: 0,
    beta2: 0,
    epsilon: 1,
    weightDecay: 0.1,
    momentum: 0,
  } as const;
  const needsOf = (id: string, options: object, more: Partial<RunFacts>) => {
    const record = methods.get(id)!;
    return bindMethod(record, record.options.parse(options)).preconditions({ ...facts, ...more });
  };

  it.each(['fedkseed', 'decomfl', 'fwdllm'])('%s: another optimizer than plain SGD, clipping', (id) => {
    expect(needsOf(id, {}, {})).toEqual([]);
    expect(needsOf(id, {}, { optimizer: adamw, maxGradNorm: 1 })).toEqual([
      expect.stringContaining('sgd'),
      expect.stringContaining('weightDecay'),
      expect.stringContaining('maxGradNorm'),
    ]);
  });

  it('SPRY: more groups than parts, slopes of several steps, a compressed seed', () => {
    expect(needsOf('spry', { groups: 1 }, {})).toEqual([]);
    expect(needsOf('spry', { groups: 3 }, {})).toEqual([expect.stringContaining('3 groups')]);
    expect(needsOf('spry', { groups: 1, exchange: 'slopes' }, { compression: 'int8' })).toEqual([
      expect.stringContaining('localSteps must be 1'),
      expect.stringContaining('compression must be none'),
    ]);
  });

  it('DeComFL and FwdLLM: buffered rounds', () => {
    for (const id of ['decomfl', 'fwdllm']) expect(needsOf(id, {}, { mode: 'buffered' })).toHaveLength(1);
  });
});
