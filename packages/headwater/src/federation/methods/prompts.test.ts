import { describe, expect, it } from 'vitest';
import { type FederationOptions, modelFederation } from '../../../test/support/model-federation.ts';
import { distance } from '../../../test/training-setup.ts';
import { rng } from '../../base/random.ts';
import { type Params, tensor } from '../../base/tensor.ts';
import type { Engine } from '../../training/engine.ts';
import type { ModelLayout } from '../../tuning/kind.ts';
import { prefixTuning } from '../../tuning/prefix-tuning.ts';
import { promptTuning } from '../../tuning/prompt-tuning.ts';
import { bindMethod, type RunFacts } from '../method.ts';
import { decodeParams, encodeParams, l2Norm } from '../params.ts';
import { methods } from './registry.ts';

const bindPrompt = (layout: ModelLayout) =>
  promptTuning.bind(
    promptTuning.options.parse({ numVirtualTokens: 5, promptTuningInit: 'SAMPLE_VOCAB' }),
    layout,
  );
const bindPrefix = (layout: ModelLayout) =>
  prefixTuning.bind(prefixTuning.options.parse({ numVirtualTokens: 3 }), layout);

const bytes = (params: Params) => Buffer.from(encodeParams(params)).toString('base64');
const PROMPT = 'prompt_embeddings';
const facts: RunFacts = {
  numOwners: 2,
  cohortSize: 2,
  quorum: 2,
  rounds: 2,
  tensors: [{ name: 'w', shape: [2] }],
};
const needsOf = (id: string, options: object, more: Partial<RunFacts>) => {
  const record = methods.get(id)!;
  return bindMethod(record, record.options.parse(options)).preconditions({ ...facts, ...more });
};

describe('FedBPT', () => {
  const options = { dimension: 6, population: 8 };
  const no = (what: string) => () => {
    throw new Error(`${what} was called`);
  };
  const chosen: FederationOptions = {
    ...{ options, bind: bindPrompt, localSteps: 3, rounds: 4 },
    engine: { gradients: no('gradients'), train: no('train') },
  };

  it('never asks for a gradient, changes nothing but its search, and finds a better prompt', async () => {
    const wide = { ...chosen, localSteps: 5, options: { ...options, population: 16, scale: 30 } };
    const { run, sessions, initial, engine, examples } = await modelFederation('fedbpt', wide);
    const after = await run(4);
    expect(sessions.filter((label) => !label.startsWith('score'))).toEqual([]);
    for (const params of after) expect(params.get(PROMPT)!.data).toEqual(initial.get(PROMPT)!.data);
    const loss = async (params: Params) => {
      const scores = await engine.score(params, [...examples.values()].flat(), {
        batchSize: 4,
        maxLength: 64,
      });
      return scores.reduce((sum, { nll }) => sum + nll, 0);
    };
    const start = await loss(initial);
    expect(await loss(after[3]!)).toBeLessThan(start - 0.5);
    // Told the opposite of every loss the same search goes the other way.
    const opposite: Engine['loss'] = async (...asked) => -(await engine.loss(...asked));
    const contrary = await modelFederation('fedbpt', {
      ...wide,
      engine: { ...chosen.engine, loss: opposite },
    });
    expect(await loss((await contrary.run(4))[3]!)).toBeGreaterThan(start + 0.5);
  });

  it('same seeds, same trajectory', async () => {
    const [first, second, other] = await Promise.all(
      [1, 1, 2].map(async (seed) =>
        (await (await modelFederation('fedbpt', { ...chosen, seed })).run(2)).map(bytes),
      ),
    );
    expect(second).toEqual(first);
    expect(other).not.toEqual(first);
  });

  it('the prompt is p₀ + s/√d A z with A of unit variance', async () => {
    const dimension = 40;
    const { tuning, initial } = await modelFederation('fedbpt', {
      ...chosen,
      options: { dimension, scale: 0.5 },
    });
    const stream = rng('z');
    const z = Float32Array.from({ length: dimension }, () => stream.normal());
    const at = (factor: number) =>
      tuning.derivation!.forward(
        new Map([
          ...initial,
          [
            'fedbpt.mean',
            tensor(
              'float32',
              [dimension],
              z.map((x) => factor * x),
            ),
          ],
        ]),
      );
    const p0 = at(0).get(PROMPT)!;
    expect(p0.data).toEqual(initial.get(PROMPT)!.data);
    const moved = (factor: number) =>
      at(factor)
        .get(PROMPT)!
        .data.map((x, i) => x - p0.data[i]!);
    const rms = (data: Float32Array) => Math.sqrt(data.reduce((sum, x) => sum + x * x, 0) / data.length);
    // ‖z‖ = √d up to 11 %, and P · D random rows.
    expect(rms(moved(1)) / (0.5 * rms(p0.data))).toBeGreaterThan(0.7);
    expect(rms(moved(1)) / (0.5 * rms(p0.data))).toBeLessThan(1.3);
    for (const [i, x] of moved(2).entries()) expect(x).toBeCloseTo(2 * moved(1)[i]!, 5);
    expect(tuning.adapterTensors!(initial).get(PROMPT)!.shape).toEqual(p0.shape);
  });

  it('a mean, its loss and two numbers of σ go up, the state of the search goes down', async () => {
    const { client, initial } = await modelFederation('fedbpt', {
      ...chosen,
      options: { dimension: 50, population: 4 },
    });
    const { update, downBytes } = await client(1, 'ann', initial);
    const frames = 3 * 90;
    expect(update.byteLength).toBeLessThan(4 * (50 + 1 + 2) + frames);
    expect(downBytes).toBeGreaterThan(4 * (50 + (50 * 51) / 2 + 100 + 2));
    expect(downBytes).toBeLessThan(4 * (50 + (50 * 51) / 2 + 100 + 2) + 4 * 90);
  });

  it('the server goes where the better means are, and σ stays in its bounds', async () => {
    const { server, initial } = await modelFederation('fedbpt', { ...chosen, owners: ['ann', 'ben'] });
    const sent = (mean: number[], fitness: number) =>
      encodeParams(
        new Map([
          ['fedbpt.fitness', tensor('float32', [1], Float32Array.of(fitness))],
          ['fedbpt.mean', tensor('float32', [6], Float32Array.from(mean))],
          ['fedbpt.sigmas', tensor('float32', [2], Float32Array.of(3, 4))],
        ]),
      );
    const [left, right] = [
      [1, 0, 0, 0, 0, 0],
      [-1, 0, 0, 0, 0, 0],
    ];
    const meanOf = async (a: number, b: number) => {
      const { params } = await server(1, initial, { ann: sent(left, a), ben: sent(right, b) });
      expect(1 + params.get('fedbpt.sigma')!.data[0]!).toBeGreaterThanOrEqual(0.5);
      expect(params.get('fedbpt.sigma')!.data[0]!).toBeLessThanOrEqual(0);
      return params.get('fedbpt.mean')!.data[0]!;
    };
    const better = await meanOf(1, 2);
    expect(better).toBeGreaterThan(0);
    expect(await meanOf(2, 1)).toBeCloseTo(-better, 6);
    expect(await meanOf(1, 50)).toBe(better);
  });

  it('refuses LoRA, a server learning rate and compression', () => {
    expect(needsOf('fedbpt', {}, { serverLearningRate: 0.5, compression: 'int8' })).toHaveLength(3);
    expect(
      needsOf('fedbpt', {}, { tensors: [{ name: PROMPT, shape: [2, 2] }], serverLearningRate: 1 }),
    ).toEqual([]);
  });
});

describe('FedPrompt', () => {
  it('is FedAvg of a prompt, and refuses what is none', async () => {
    const [prompt, plain] = await Promise.all(
      ['fedprompt', 'fedavg'].map(async (id) =>
        (await (await modelFederation(id, { bind: bindPrompt })).run(2)).map(bytes),
      ),
    );
    expect(prompt).toEqual(plain);
    expect(needsOf('fedprompt', {}, {})).toEqual([expect.stringContaining('prompt-tuning')]);
    for (const name of [PROMPT, 'prompt_encoder.default.embedding.weight'])
      expect(needsOf('fedprompt', {}, { tensors: [{ name, shape: [2, 2] }] })).toEqual([]);
  });
});

describe('shared and personal prompts', () => {
  const chosen = { options: { personalTokens: 2 }, bind: bindPrompt, learningRate: 1 };
  const [SHARED, PERSONAL] = ['prompt_embeddings.shared', 'prompt_embeddings.personal'];

  it('the shared rows travel, the others stay with their owner', async () => {
    const { client, initial, tuning } = await modelFederation('shared-personal-prompts', chosen);
    const { update, kept, downBytes } = await client(1, 'ann', initial);
    expect([...decodeParams(update).keys()]).toEqual([SHARED]);
    expect([...kept!.keys()]).toEqual([PERSONAL]);
    expect(kept!.get(PERSONAL)!.data).not.toEqual(initial.get(PERSONAL)!.data);
    const rowBytes = 4 * initial.get(SHARED)!.shape[1]!;
    expect(downBytes).toBeLessThan(3 * rowBytes + 130);
    const whole = tuning.derivation!.forward(initial).get(PROMPT)!;
    expect([...whole.data]).toEqual([...initial.get(SHARED)!.data, ...initial.get(PERSONAL)!.data]);
  });

  it('its gradient is that of the whole prompt, row for row', async () => {
    const parts = await modelFederation('shared-personal-prompts', chosen);
    const whole = await modelFederation('fedavg', { bind: bindPrompt });
    const own = parts.examples.get('ann')!;
    const split = (await parts.engine.gradients(parts.initial, own, { maxLength: 64 })).grads;
    const all = (await whole.engine.gradients(whole.initial, own, { maxLength: 64 })).grads;
    expect([...split.get(SHARED!)!.data, ...split.get(PERSONAL!)!.data]).toEqual([...all.get(PROMPT)!.data]);
  });

  it('in turns: the shared rows are trained as if alone, then the own ones against them', async () => {
    const together = await modelFederation('shared-personal-prompts', { ...chosen, localSteps: 1 });
    const turns = await modelFederation('shared-personal-prompts', {
      ...chosen,
      localSteps: 1,
      options: { personalTokens: 2, turns: true },
    });
    const [a, b] = [
      await together.client(1, 'ann', together.initial),
      await turns.client(1, 'ann', turns.initial),
    ];
    expect(distance(decodeParams(b.update), decodeParams(a.update))).toBeLessThan(1e-5);
    expect(distance(b.kept!, a.kept!)).toBeGreaterThan(1e-5);
  });

  it('refuses more personal tokens than there are', () => {
    const tensors = [{ name: PROMPT, shape: [2, 8] }];
    expect(needsOf('shared-personal-prompts', { personalTokens: 2 }, { tensors })).toHaveLength(1);
    expect(needsOf('shared-personal-prompts', { personalTokens: 0 }, { tensors })).toEqual([]);
  });
});

describe('FedPepTAO', () => {
  const chosen = { options: { share: 0.5, momentum: 0.5 }, bind: bindPrefix, rounds: 3, learningRate: 1 };

  it('ranks the layers in the first round by their part of the squared gradient, and trains nothing', async () => {
    const { client, server, initial, engine, examples, tuning } = await modelFederation('fedpeptao', {
      ...chosen,
      localSteps: 1,
    });
    const { update, kept } = await client(1, 'ann', initial);
    const scores = decodeParams(update).get('fedpeptao.scores')!.data;
    expect(scores.reduce((a, b) => a + b)).toBeCloseTo(1, 5);
    expect(kept).toBeUndefined();
    const { params } = await server(1, initial, { ann: update });
    expect(bytes(tuning.derivation!.forward(params))).toBe(bytes(tuning.derivation!.forward(initial)));
    const order = [...params.get('fedpeptao.order')!.data].map((x, rank) => x + rank);
    expect([...order].sort()).toEqual(order.map((_, i) => i));
    expect(order).toEqual([...order].sort((a, b) => scores[b]! - scores[a]!));
    const { grads } = await engine.gradients(params, examples.get('ann')!, { maxLength: 64 });
    for (const [name, grad] of grads)
      expect(l2Norm(new Map([[name, grad]])) > 0).toBe(name.startsWith(PROMPT));
  });

  it('then only the first ranks travel, the others stay; momentum goes on', async () => {
    const { run, client, initial } = await modelFederation('fedpeptao', chosen);
    const after = await run(3);
    const { update, kept } = await client(2, 'ann', after[0]!);
    const sent = [...decodeParams(update).keys()];
    expect(sent).toEqual(['prompt_embeddings.shared-000']);
    expect([...kept!.keys()]).toEqual(['prompt_embeddings.local-001']);
    expect(after[2]!.get('prompt_embeddings.local-001')!.data).toEqual(
      after[0]!.get('prompt_embeddings.local-001')!.data,
    );
    expect(after[2]!.get(sent[0]!)!.data).not.toEqual(after[0]!.get(sent[0]!)!.data);
    expect(initial.get('fedpeptao.order')!.data.every((x) => x === 0)).toBe(true);
  });

  it('all layers and no momentum are FedAvg of prefixes', async () => {
    const all = await modelFederation('fedpeptao', { ...chosen, options: { share: 1, momentum: 0 } });
    const plain = await modelFederation('fedavg', { ...chosen, options: {} });
    expect((await all.run(2)).map(bytes)).toEqual((await plain.run(2)).map(bytes));
  });

  it('refuses prompts that no layer has a part in, and a single round', () => {
    const tensors = [{ name: PROMPT, shape: [2, 8] }];
    expect(needsOf('fedpeptao', {}, { tensors, rounds: 1 })).toHaveLength(2);
    expect(needsOf('fedpeptao', { share: 1 }, { tensors, rounds: 1 })).toEqual([]);
  });
});
