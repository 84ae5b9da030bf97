/** Which modules the kinds choose by themselves, how they are written, and what is no target. */

import { describe, expect, it } from 'vitest';
import { testLayout } from '../../test/support/layout.ts';
import { refusal } from '../../test/support/outcome.ts';
import { gap, runToy, startingParams, toy, toyGraph } from '../../test/support/toy-network.ts';
import { rng } from '../base/random.ts';
import { sizeOf, type Tensor, tensor } from '../base/tensor.ts';
import type { LinearRole } from '../graph/sites.ts';
import { bottleneck } from './bottleneck.ts';
import { combinedTuning } from './combined.ts';
import { dora } from './dora.ts';
import { frozen } from './frozen.ts';
import { ia3 } from './ia3.ts';
import type { ModelLayout } from './kind.ts';
import { lora } from './lora.ts';

function layoutOf(modules: Readonly<Record<string, LinearRole>>): ModelLayout {
  return testLayout({
    linears: Object.entries(modules).map(([module, role]) => ({
      ...{ module, role, inFeatures: 4, outFeatures: 6, bias: false },
    })),
  });
}

const bert = layoutOf({
  'layer.0.attention.query': 'query',
  'layer.0.attention.key': 'key',
  'layer.0.attention.value': 'value',
  'layer.0.attention.output.dense': 'attention-output',
  'layer.0.intermediate.dense': 'mlp-input',
  'layer.0.output.dense': 'mlp-output',
});
const fused = layoutOf({
  'h.0.attn.c_attn': 'query-key-value',
  'h.0.attn.c_proj': 'attention-output',
  'h.0.mlp.c_fc': 'mlp-input',
  'h.0.mlp.c_proj': 'mlp-output',
});

describe('(IA)³', () => {
  const shapes = (layout: ModelLayout, options: object = {}) =>
    Object.fromEntries(
      ia3
        .bind(ia3.options.parse(options), layout)
        .tensors.map(({ name, shape }) => [name.slice('base_model.model.'.length, -'.ia3_l'.length), shape]),
    );

  it('rescales keys, values and what the MLP’s output takes', () => {
    expect(shapes(bert)).toEqual({
      'layer.0.attention.key': [6, 1],
      'layer.0.attention.value': [6, 1],
      'layer.0.output.dense': [1, 4],
    });
    expect(shapes(fused)).toEqual({ 'h.0.attn.c_attn': [6, 1], 'h.0.mlp.c_proj': [1, 4] });
  });

  it('is written by endings that select the same in PEFT, by full names where none do', () => {
    const config = (layout: ModelLayout) => ia3.bind(ia3.options.parse({}), layout).adapterConfig();
    expect(config(fused)).toMatchObject({
      target_modules: ['attn.c_attn', 'mlp.c_proj'],
      feedforward_modules: ['mlp.c_proj'],
    });
    // "output.dense" also ends the attention's output.
    expect(config(bert)).toMatchObject({
      target_modules: ['layer.0.attention.key', 'layer.0.attention.value', 'layer.0.output.dense'],
      feedforward_modules: ['layer.0.output.dense'],
    });
  });

  it('takes feed-forward modules by the ends of names or by an expression, as PEFT', () => {
    const targetModules = ['dense'];
    const feedforward = (feedforwardModules: string | string[]) =>
      Object.entries(shapes(bert, { targetModules, feedforwardModules }))
        .filter(([, shape]) => shape[0] === 1)
        .map(([name]) => name);
    expect(feedforward(['output.dense'])).toEqual(['layer.0.attention.output.dense', 'layer.0.output.dense']);
    expect(feedforward('layer\\.0\\.output.*')).toEqual(['layer.0.output.dense']);
    expect(feedforward([])).toEqual([]);
    expect(refusal(() => feedforward('(')).code).toBe('OPTION_INVALID');
  });
});

describe('bottleneck adapters', () => {
  it('sit behind both sublayers or behind the MLP, with the inner width of the factor', () => {
    const modules = (style: string, reductionFactor: number) =>
      bottleneck
        .bind(bottleneck.options.parse({ style, reductionFactor }), bert)
        .tensors.filter(({ name }) => name.endsWith('adapter_up.weight'))
        .map(({ name, shape }) => [name.split('.').slice(4, -2).join('.'), shape[1]]);
    expect(modules('houlsby', 2)).toEqual([
      ['attention.output.dense', 3],
      ['output.dense', 3],
    ]);
    expect(modules('pfeiffer', 4)).toEqual([['output.dense', 1]]);
    expect(modules('pfeiffer', 100)).toEqual([['output.dense', 1]]);
  });
});

describe('targets', () => {
  it('may not be embeddings or the vocabulary matrix', () => {
    for (const target of ['embed_tokens', 'lm_head']) {
      const error = refusal(() => lora.bind(lora.options.parse({ targetModules: ['q_proj', target] }), toy));
      expect(error.code).toBe('OPTION_INVALID');
      expect(error.hint).toContain(`modulesToSave: [${target}]`);
    }
  });
});

describe('DoRA with dropout', () => {
  const options = { rank: 2, alpha: 3, targetModules: ['o_proj', 'down_proj'], dropout: 0.25 };
  const tuning = dora.bind(dora.options.parse(options), toy);
  const masksOf = (value: (i: number) => number) =>
    new Map<string, Tensor>(
      toyGraph(tuning, true).dropout.map(({ name, shape, dropoutProbability }) => {
        expect(dropoutProbability).toBe(0.25);
        const bits = Uint8Array.from({ length: sizeOf(shape) }, (_, i) => value(i));
        return [name, tensor('bool', shape, bits)];
      }),
    );

  it('keeps the frozen part and drops from the update, as PEFT', async () => {
    const params = await startingParams(tuning, 0.2);
    const none = runToy(tuning, params, { training: true, masks: masksOf(() => 0) });
    // All dropped: y + (g − 1) · 0 + g · 0.
    expect(gap(none.logits, runToy(frozen, new Map()).logits)).toBeLessThan(1e-9);
    const stream = rng('dora masks');
    const some = runToy(tuning, params, { training: true, masks: masksOf(() => stream.below(2)) });
    expect(gap(some.logits, runToy(tuning, params).logits)).toBeGreaterThan(1e-3);
  });

  it('has no mask outside training', () => {
    expect(toyGraph(tuning).dropout).toEqual([]);
  });
});

describe('several adapters', () => {
  const tuning = lora.bind(lora.options.parse({ rank: 1 }), toy);

  it('need names of their own, finite weights and kinds that are sums', () => {
    const combine = (...adapters: Parameters<typeof combinedTuning>[0]) =>
      refusal(() => combinedTuning(adapters));
    const one = { name: 'a', tuning, weight: 1 };
    expect(combine(one, one).message).toContain('"a"');
    expect(combine({ ...one, name: 'a/b' }).code).toBe('OPTION_INVALID');
    expect(combine({ ...one, weight: Number.NaN }).message).toContain('NaN');
    expect(combine({ ...one, tuning: { ...frozen, kind: 'prompt' } }).message).toContain(
      'cannot be weighted',
    );
  });

  it('start from other values for each name', async () => {
    const both = combinedTuning([
      { name: 'a', tuning, weight: 0.5 },
      { name: 'b', tuning, weight: 0.5 },
    ]);
    const params = await startingParams(both);
    const [first] = tuning.tensors;
    expect(params.get(`a/${first!.name}`)!.data).not.toEqual(params.get(`b/${first!.name}`)!.data);
    expect(both.tensors.map(({ name }) => name)).toEqual([...params.keys()]);
  });
});
