/** Prompt tuning, prefix tuning and p-tuning apart from a network: options, first values, files, the layout of a prefix. */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { testLayout } from '../../test/support/layout.ts';
import { HeadwaterError } from '../base/errors.ts';
import { rng } from '../base/random.ts';
import { type Params, type Tensor, tensor } from '../base/tensor.ts';
import { Graph } from '../graph/ir.ts';
import { interpret } from '../graph/reference.ts';
import { parameterSites } from '../graph/sites.ts';
import type { BoundTuning, ModelLayout, TuningKind } from './kind.ts';
import { pTuning } from './p-tuning.ts';
import { adapterConfigText, parseAdapter } from './peft-adapter.ts';
import { prefixTuning } from './prefix-tuning.ts';
import { promptTuning } from './prompt-tuning.ts';
import { tuningKinds } from './registry.ts';

const layout = testLayout({});
const { hiddenSize, vocabSize } = layout.shape;
/** Row i of the token embeddings is i, i, i … */
const table = Float32Array.from({ length: vocabSize * hiddenSize }, (_, i) => Math.floor(i / hiddenSize));

function bound<O>(kind: TuningKind<O>, options: object, of: ModelLayout = layout): BoundTuning {
  return kind.bind(kind.options.parse(options), of);
}

function firstRows(tuning: BoundTuning, params: Params): number[] {
  const { data } = params.get('prompt_embeddings')!;
  return Array.from({ length: tuning.virtual!.count }, (_, row) => data[row * hiddenSize]!);
}

function code(action: () => unknown): string | undefined {
  try {
    action();
  } catch (error) {
    if (error instanceof HeadwaterError) return error.code;
    throw error;
  }
  return undefined;
}

describe('first values', () => {
  it('of a text are its token embeddings, repeated or cut, scaled as the network scales them', async () => {
    const encode = async () => [3, 5, 9];
    const start = async (numVirtualTokens: number, embeddingScale: number) => {
      const options = { numVirtualTokens, promptTuningInit: 'TEXT', promptTuningInitText: 'a b c' };
      const tuning = bound(promptTuning, options, { ...layout, embeddingScale });
      return firstRows(tuning, await tuning.init(rng(0), async () => table, encode));
    };
    expect(await start(7, 1)).toEqual([3, 5, 9, 3, 5, 9, 3]);
    expect(await start(2, 4)).toEqual([12, 20]);
  });

  it('of sampled tokens are rows of the embeddings, of none a normal draw; both follow the seed', async () => {
    const start = async (promptTuningInit: string, seed: number) => {
      const tuning = bound(promptTuning, { numVirtualTokens: 100, promptTuningInit });
      return firstRows(tuning, await tuning.init(rng(seed), async () => table));
    };
    const sampled = await start('SAMPLE_VOCAB', 1);
    expect(sampled.every((value) => Number.isInteger(value) && value >= 0 && value < vocabSize)).toBe(true);
    expect(new Set(sampled).size).toBeGreaterThan(10);
    expect(await start('SAMPLE_VOCAB', 1)).toEqual(sampled);
    expect(await start('SAMPLE_VOCAB', 2)).not.toEqual(sampled);
    const drawn = await start('RANDOM', 1);
    const variance = drawn.reduce((sum, value) => sum + value ** 2, 0) / drawn.length;
    expect(variance).toBeGreaterThan(0.5);
    expect(variance).toBeLessThan(2);
  });

  it('need a tokenizer for a text, and a text that has tokens', async () => {
    const options = { promptTuningInit: 'TEXT', promptTuningInitText: 'x' };
    const tuning = bound(promptTuning, options);
    for (const encode of [undefined, async () => []])
      await expect(tuning.init(rng(0), async () => table, encode)).rejects.toMatchObject({
        code: 'OPTION_INVALID',
      });
    expect(promptTuning.options.safeParse({ promptTuningInit: 'TEXT' }).success).toBe(false);
    expect(promptTuning.options.safeParse({ promptTuningInitText: 'x' }).success).toBe(false);
  });

  it('of a prefix that begins with zeros are zero, through an encoder too', async () => {
    for (const prefixProjection of [false, true]) {
      const tuning = bound(prefixTuning, { prefixProjection, initWeights: 'zero' });
      const params = await tuning.init(rng(0), async () => table);
      const prompt = (tuning.adapterTensors?.(params) ?? params).get('prompt_embeddings')!;
      expect(prompt.data.every((value) => value === 0)).toBe(true);
    }
  });
});

describe('options', () => {
  it('leave positions for text', () => {
    for (const kind of [promptTuning, prefixTuning, pTuning] as TuningKind<unknown>[]) {
      expect(code(() => bound(kind, { numVirtualTokens: 128 }))).toBe('OPTION_INVALID');
      expect(bound(kind, { numVirtualTokens: 127 }).virtual!.count).toBe(127);
      expect(kind.options.safeParse({ numVirtualTokens: 0 }).success).toBe(false);
    }
  });

  it('say that the LSTM encoder is not trained here', () => {
    const { error } = pTuning.options.safeParse({ encoderReparameterizationType: 'LSTM' });
    expect(error!.issues[0]!.message).toContain('MLP');
  });
});

describe('the file', () => {
  it.each([
    ['prompt-tuning', promptTuning, { numVirtualTokens: 5 }],
    ['prefix-tuning', prefixTuning, { numVirtualTokens: 5 }],
    ['p-tuning', pTuning, { numVirtualTokens: 5, encoderHiddenSize: 24 }],
  ])('of %s has the configuration that PEFT writes', (name, kind, options) => {
    const shape = {
      hiddenSize: 32,
      numHiddenLayers: 2,
      numAttentionHeads: 4,
      numKeyValueHeads: 2,
      headDim: 8,
    };
    const llama = testLayout({ shape: { ...layout.shape, ...shape } });
    const path = join(import.meta.dirname, `../../test/fixtures/huggingface/llama-${name}/adapter`);
    const written = adapterConfigText(bound(kind as TuningKind<unknown>, options, llama), 'llama');
    expect(JSON.parse(written)).toEqual(JSON.parse(readFileSync(join(path, 'adapter_config.json'), 'utf8')));
  });

  it.each([
    ['p-tuning', pTuning, {}],
    ['prefix tuning through an encoder', prefixTuning, { prefixProjection: true, encoderHiddenSize: 3 }],
  ])('of %s holds what the network sees, and is read as such', async (_, kind, options) => {
    const tuning = bound(kind as TuningKind<unknown>, { numVirtualTokens: 3, ...options });
    const params = await tuning.init(rng(5), async () => table);
    const kept = tuning.adapterTensors!(params);
    expect([...kept.keys()]).toEqual(['prompt_embeddings']);
    const config = JSON.parse(adapterConfigText(tuning, 'base'));
    const read = parseAdapter(config, kept, layout, tuningKinds);
    expect(read.params).toEqual(kept);
    expect(read.tuning.virtual).toEqual(tuning.virtual);
    expect(seen(read.tuning, read.params)).toEqual(seen(tuning, params).map((x) => expect.closeTo(x, 5)));
    // Read again it needs no encoder: what is written next time is a plain prompt.
    expect(read.tuning.tensors.map(({ name }) => name)).toEqual(['prompt_embeddings']);
    expect(read.asTrained().tensors).toEqual(tuning.tensors);
  });

  it('of an LSTM encoder is read, because it holds the result alone', () => {
    const tuning = bound(pTuning, { numVirtualTokens: 2 });
    const config = { ...tuning.adapterConfig()!, encoder_reparameterization_type: 'LSTM' };
    const prompt = tensor('float32', [2, hiddenSize], new Float32Array(2 * hiddenSize));
    const read = parseAdapter(config, new Map([['prompt_embeddings', prompt]]), layout, tuningKinds);
    expect(read.tuning.adapterConfig()).toMatchObject({ peft_type: 'PROMPT_TUNING' });
  });

  it.each([
    [{ num_transformer_submodules: 2 }, 'num_transformer_submodules'],
    [{ num_layers: 3 }, 'num_layers'],
    [{ token_dim: 64 }, 'token_dim'],
    [{ num_attention_heads: 16 }, 'num_attention_heads'],
    [{ modules_to_save: ['lm_head'] }, 'modules_to_save'],
    [{ num_virtual_tokens: null }, 'numVirtualTokens'],
    [{ num_virtual_tokens: 500 }, 'numVirtualTokens'],
    [{ task_type: 'SEQ_CLS' }, 'task_type'],
    [{ setting_of_tomorrow: 1 }, 'setting_of_tomorrow'],
    [{ peft_type: 'MULTITASK_PROMPT_TUNING' }, 'MULTITASK_PROMPT_TUNING'],
  ])('is refused with %j', async (change, word) => {
    for (const kind of [promptTuning, prefixTuning, pTuning] as TuningKind<unknown>[]) {
      const tuning = bound(kind, { numVirtualTokens: 2 });
      const params = await tuning.init(rng(0), async () => table);
      const kept = tuning.adapterTensors?.(params) ?? params;
      const config = { ...tuning.adapterConfig(), base_model_name_or_path: 'other' };
      expect(parseAdapter(config, kept, layout, tuningKinds).baseModel).toBe('other');
      expect(() => parseAdapter({ ...config, ...change }, kept, layout, tuningKinds)).toThrow(word);
      expect(code(() => parseAdapter({ ...config, ...change }, kept, layout, tuningKinds))).toBe(
        'ADAPTER_INVALID',
      );
    }
  });

  it('of a classifier also holds the head, under the names that PEFT gives it beside a prompt', async () => {
    const parameters = new Map([
      ['classifier.weight', [2, 8]],
      ['classifier.bias', [2]],
    ]);
    const head = { objective: 'sequence-classification', headModules: ['classifier'], parameters } as const;
    const tuning = bound(pTuning, { numVirtualTokens: 2 }, testLayout(head));
    const params = await tuning.init(
      rng(0),
      async (name) => new Float32Array(name.endsWith('bias') ? 2 : 16),
    );
    expect([...tuning.adapterTensors!(params).keys()]).toEqual([
      'base_model.classifier.bias',
      'base_model.classifier.weight',
      'prompt_embeddings',
    ]);
    expect(tuning.adapterConfig()).toMatchObject({ task_type: 'SEQ_CLS' });
  });
});

it('a prefix has keys and values of every layer at their places', async () => {
  const { numHiddenLayers: L, numKeyValueHeads: K, headDim } = layout.shape;
  const P = 3;
  const tuning = bound(prefixTuning, { numVirtualTokens: P });
  const width = 2 * L * K * headDim;
  const values = Float32Array.from({ length: P * width }, (_, i) => i);
  const shape = [P, width];
  const got = seen(tuning, new Map([['prompt_embeddings', tensor('float32', shape, values)]]));
  const wanted: number[] = [];
  for (let part = 0; part < 2 * L; part++)
    for (let head = 0; head < K; head++)
      for (let p = 0; p < P; p++)
        for (let d = 0; d < headDim; d++) wanted.push(p * width + (part * K + head) * headDim + d);
  expect(got).toEqual(wanted);
});

/** What reaches a network: embeddings of the virtual tokens, or keys and values of the layers in order. */
function seen(tuning: BoundTuning, params: Params): number[] {
  const graph = new Graph();
  const base = parameterSites((name, shape) => graph.input(name, 'float32', shape));
  const { sites, prefix } = tuning.wrap(graph, base, { training: false });
  const { count } = tuning.virtual!;
  if (prefix === undefined) {
    const ids = graph.input('ids', 'int32', [count]);
    graph.output('0', sites.embedding(ids, layout.tokenEmbedding, vocabSize, hiddenSize));
  } else
    for (let layer = 0; layer < layout.shape.numHiddenLayers; layer++) {
      graph.output(`${2 * layer}`, prefix(layer).k);
      graph.output(`${2 * layer + 1}`, prefix(layer).v);
    }
  const feeds = new Map<string, Tensor>([
    ...params,
    [
      'ids',
      tensor(
        'int32',
        [count],
        Int32Array.from({ length: count }, (_, i) => -1 - i),
      ),
    ],
    [`${layout.tokenEmbedding}.weight`, tensor('float32', [vocabSize, hiddenSize], table)],
  ]);
  return [...interpret(graph, feeds).values()].flatMap(({ data }) => [...(data as Float64Array)]);
}
