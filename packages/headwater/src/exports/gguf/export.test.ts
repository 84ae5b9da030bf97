import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { float32s, readGguf } from '../../../test/support/read-gguf.ts';
import { FIXTURES } from '../../../test/training-setup.ts';
import { float16ToFloat32, float32ToFloat16 } from '../../base/half.ts';
import { rng } from '../../base/random.ts';
import { openCheckpoint, readWeight } from '../../models/checkpoint-node.ts';
import type { Model } from '../../models/model.ts';
import { ARCHITECTURES } from '../../models/registry.ts';
import { readAdapterFolder } from '../../training/adapter-folder-node.ts';
import type { WeightedAdapter } from '../merged-weights.ts';
import { exportAdapterGguf } from './export-adapter.ts';
import { exportModelGguf } from './export-model.ts';
import { GGUF_ARCHITECTURES } from './registry.ts';
import { interleavedRows } from './rope.ts';

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'headwater-gguf-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const fixture = (name: string) => join(FIXTURES, 'huggingface', name);

/** The fixture with a tokenizer of one token a character, and with other settings where wanted. */
async function opened(name: string, changes: object = {}): Promise<Model> {
  const folder = await mkdtemp(join(scratch, `${name}-`));
  await cp(fixture(name), folder, { recursive: true });
  const path = join(folder, 'config.json');
  const config = { ...JSON.parse(await readFile(path, 'utf8')), ...changes };
  await writeFile(path, JSON.stringify(config));
  const letters = Array.from({ length: 94 }, (_, i) => [String.fromCharCode(33 + i), i]);
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, use_regex: true };
  const model = { type: 'BPE', vocab: Object.fromEntries(letters), merges: [] };
  await writeFile(join(folder, 'tokenizer.json'), JSON.stringify({ pre_tokenizer: byteLevel, model }));
  return openCheckpoint(folder);
}

async function adapterOf(model: Model, folder: string, weight = 1): Promise<WeightedAdapter> {
  return { source: folder, ...(await readAdapterFolder(folder, model.definition)), weight };
}

let files = 0;
const newFile = () => join(scratch, `${files++}.gguf`);

async function exported(
  model: Model,
  adapters: readonly WeightedAdapter[] = [],
  type: 'f32' | 'f16' | 'q8_0' = 'f32',
) {
  const path = newFile();
  const result = await exportModelGguf(model, adapters, path, { type });
  return { ...result, ...(await readGguf(path)) };
}

const refusal = (promise: Promise<unknown>): Promise<Error> =>
  promise.then(
    () => new Error('accepted'),
    (error) => error,
  );

describe('a model as GGUF', () => {
  it('has the sizes and constants of its configuration', async () => {
    const { metadata, numTensors, tensors } = await exported(await opened('qwen3'));
    const own = [...metadata].filter(([key]) => key.startsWith('qwen3.'));
    expect(Object.fromEntries(own)).toEqual({
      'qwen3.context_length': 128,
      'qwen3.embedding_length': 32,
      'qwen3.block_count': 2,
      'qwen3.feed_forward_length': 48,
      'qwen3.vocab_size': 160,
      'qwen3.attention.head_count': 4,
      'qwen3.attention.head_count_kv': 2,
      'qwen3.attention.key_length': 16,
      'qwen3.attention.value_length': 16,
      'qwen3.attention.layer_norm_rms_epsilon': Math.fround(1e-6),
      'qwen3.rope.dimension_count': 16,
      'qwen3.rope.freq_base': 10_000,
    });
    expect(metadata.get('general.architecture')).toBe('qwen3');
    expect(tensors.size).toBe(numTensors);
    expect(tensors.get('blk.1.ffn_down.weight')!.dims).toEqual([48, 32]);
  });

  it('turns queries and keys of llama by neighbours and leaves the rest alone', async () => {
    const model = await opened('llama');
    const { tensors } = await exported(model);
    const read = (name: string) => readWeight(model.weights, name);
    for (const [to, from] of [
      ['token_embd', 'model.embed_tokens'],
      ['blk.1.attn_v', 'model.layers.1.self_attn.v_proj'],
      ['blk.0.ffn_up', 'model.layers.0.mlp.up_proj'],
      ['output', 'lm_head'],
    ])
      expect(float32s(tensors.get(`${to}.weight`)!)).toEqual(await read(`${from}.weight`));
    const { headDim, hiddenSize } = model.definition.shape;
    const before = await read('model.layers.0.self_attn.k_proj.weight');
    const after = float32s(tensors.get('blk.0.attn_k.weight')!);
    // Row 3 of head 1 there is pair 1, second half: row 1 + Dh/2 here.
    const [there, here] = [headDim + 3, headDim + 1 + headDim / 2];
    expect(after.subarray(there * hiddenSize, (there + 1) * hiddenSize)).toEqual(
      before.subarray(here * hiddenSize, (here + 1) * hiddenSize),
    );
  });

  it('gives the same rotated scores in either order of rows', () => {
    const shape = { headDim: 8 };
    const order = interleavedRows({ shape } as Parameters<typeof interleavedRows>[0], 8);
    expect([...order].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    const angle = (i: number, position: number) => position * 10 ** -i;
    const turn = (x: number[], pair: (i: number) => [number, number], position: number) => {
      const result = [...x];
      for (let i = 0; i < 4; i++) {
        const [a, b] = pair(i);
        const [c, s] = [Math.cos(angle(i, position)), Math.sin(angle(i, position))];
        result[a] = x[a]! * c - x[b]! * s;
        result[b] = x[b]! * c + x[a]! * s;
      }
      return result;
    };
    const dot = (a: number[], b: number[]) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
    fc.assert(
      fc.property(fc.nat(99), fc.nat(99), fc.nat(99), (seed, p, q) => {
        const random = rng('rope', seed);
        const [x, y] = [0, 1].map(() => Array.from({ length: 8 }, () => random.normal())) as [
          number[],
          number[],
        ];
        const halves = (i: number): [number, number] => [i, i + 4];
        const neighbours = (i: number): [number, number] => [2 * i, 2 * i + 1];
        const arranged = (v: number[]) => Array.from(order, (from) => v[from]!);
        expect(dot(turn(arranged(x), neighbours, p), turn(arranged(y), neighbours, q))).toBeCloseTo(
          dot(turn(x, halves, p), turn(y, halves, q)),
          9,
        );
      }),
      { seed: 1, numRuns: 50 },
    );
  });

  it('turns matrices that are stored in-features first, and adds what norms leave out', async () => {
    const gpt2 = await opened('gpt2');
    const { tensors } = await exported(gpt2);
    const stored = await readWeight(gpt2.weights, 'transformer.h.0.mlp.c_fc.weight');
    const written = tensors.get('blk.0.ffn_up.weight')!;
    expect(written.dims).toEqual([32, 128]);
    expect(float32s(written)[5 * 32 + 3]).toBe(stored[3 * 128 + 5]);
    const gemma = await opened('gemma2');
    const norm = await readWeight(gemma.weights, 'model.norm.weight');
    const { tensors: gemmaTensors, metadata } = await exported(gemma);
    expect(float32s(gemmaTensors.get('output_norm.weight')!)).toEqual(norm.map((value) => 1 + value));
    expect(metadata.get('gemma2.attention.sliding_window_pattern')).toBe(2);
    expect(metadata.get('gemma2.attn_logit_softcapping')).toBe(50);
  });

  it('divides frequencies by a tensor for llama3 scaling', async () => {
    const { tensors } = await exported(await opened('llama3-rope'));
    const divisors = [...float32s(tensors.get('rope_freqs.weight')!)];
    expect(divisors[0]).toBe(1);
    expect(divisors.at(-1)).toBe(8);
    expect([...divisors].sort((a, b) => a - b)).toEqual(divisors);
  });

  it('holds an adapter that is merged in', async () => {
    const model = await opened('llama');
    const adapter = await adapterOf(model, join(fixture('llama'), 'adapter'));
    const { tensors } = await exported(model, [adapter]);
    const name = 'model.layers.1.mlp.down_proj.weight';
    const expected = adapter.tuning.merged!(adapter.params).get(name)!(await readWeight(model.weights, name));
    expect(float32s(tensors.get('blk.1.ffn_down.weight')!)).toEqual(expected);
  });

  it('keeps vectors in float32 and rows that are no whole blocks in float16', async () => {
    const model = await opened('llama');
    const half = await exported(model, [], 'f16');
    const embedding = await readWeight(model.weights, 'model.embed_tokens.weight');
    const bits = new Uint16Array(half.tensors.get('token_embd.weight')!.bytes.buffer);
    expect(bits).toEqual(float32ToFloat16(embedding));
    expect(half.tensors.get('blk.0.attn_norm.weight')!.type).toBe(0);
    expect(half.metadata.get('general.file_type')).toBe(1);
    const blocks = await exported(model, [], 'q8_0');
    expect(blocks.tensors.get('blk.0.attn_q.weight')!.type).toBe(8);
    // 48 values a row.
    expect(blocks.tensors.get('blk.0.ffn_down.weight')!.type).toBe(1);
    expect(blocks.metadata.get('general.quantization_version')).toBe(2);
  });

  it('declares the positions for which llama.cpp computes the same', async () => {
    expect((await exported(await opened('mistral'))).contextLength).toBe(8);
    expect((await exported(await opened('mistral', { sliding_window: null }))).contextLength).toBe(128);
    const longrope = {
      rope_type: 'longrope',
      ...{ rope_theta: 10_000, short_factor: [1, 1, 1, 1], long_factor: [2, 2, 2, 2] },
    };
    const phi3 = await opened('phi3', { rope_parameters: longrope, original_max_position_embeddings: 64 });
    const { contextLength, metadata, tensors } = await exported(phi3);
    expect(contextLength).toBe(64);
    expect(metadata.get('phi3.rope.scaling.original_context_length')).toBe(64);
    expect([...float32s(tensors.get('rope_factors_long.weight')!)]).toEqual([2, 2, 2, 2]);
  });

  it('is there for every decoder', () => {
    const decoders = [...ARCHITECTURES.values()].filter(({ lacksHead }) => lacksHead === undefined);
    expect([...GGUF_ARCHITECTURES.keys()].sort()).toEqual(decoders.map(({ id }) => id).sort());
  });

  it.each([
    ['qwen3', { attention_bias: true }, /no tensor|attention_bias|missing/],
    ['gemma2', { final_logit_softcapping: null }, /always caps/],
    ['gemma3', { final_logit_softcapping: 30 }, /does not cap/],
    ['gemma3', { layer_types: ['full_attention', 'sliding_attention'] }, /every n-th layer/],
    ['llama', { hidden_act: 'gelu' }, /hidden_act is "gelu"/],
    ['smollm3', { no_rope_layers: [1, 0, 1, 0] }, /every 4th layer/],
    [
      'qwen2',
      { rope_parameters: { rope_type: 'yarn', factor: 2, rope_theta: 1e4, attention_factor: 1 } },
      /attention factor 1/,
    ],
    ['qwen2', { rope_parameters: { rope_type: 'llama3', rope_theta: 1e4, ...LLAMA3 } }, /"llama3"/],
  ])('is refused for %s with %j, which llama.cpp computes otherwise', async (name, changes, message) => {
    const error = await refusal(opened(name, changes).then((model) => exported(model)));
    expect(error.message).toMatch(message);
    expect(error).toMatchObject({ code: expect.stringMatching(/MODEL_(UNSUPPORTED|INVALID)/) });
  });

  it('is refused for an encoder, and where the file exists', async () => {
    const encoder = await openCheckpoint(fixture('bert-cls'));
    const path = newFile();
    expect(await refusal(exportModelGguf(encoder, [], path, { type: 'f32' }))).toMatchObject({
      code: 'MODEL_UNSUPPORTED',
      hint: expect.stringContaining('llama'),
    });
    await writeFile(path, '');
    const model = await opened('llama');
    expect(await refusal(exportModelGguf(model, [], path, { type: 'f32' }))).toMatchObject({
      code: 'OPTION_INVALID',
    });
    expect((await readdir(scratch)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });
});

const LLAMA3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 };

describe('a LoRA adapter as GGUF', () => {
  it.each([
    ['llama', 1],
    ['llama-rslora', 1],
    ['llama-lora-rank-pattern', 0.5],
  ])('of %s with weight %d adds alpha / rank · B A to each module', async (name, weight) => {
    const model = await opened('llama');
    const adapter = await adapterOf(model, join(fixture(name), 'adapter'), weight);
    const path = newFile();
    await exportAdapterGguf(model, adapter, path, { type: 'f32' });
    const { metadata, tensors } = await readGguf(path);
    expect(metadata.get('general.type')).toBe('adapter');
    expect(metadata.get('adapter.type')).toBe('lora');
    const alpha = metadata.get('adapter.lora.alpha') as number;
    const updates = adapter.tuning.lowRank!(adapter.params);
    expect(tensors.size).toBe(2 * updates.length);
    for (const module of ['self_attn.v_proj', 'mlp.down_proj']) {
      const update = updates.find((item) => item.module === `model.layers.0.${module}`)!;
      const to = module === 'mlp.down_proj' ? 'ffn_down' : 'attn_v';
      const a = tensors.get(`blk.0.${to}.weight.lora_a`)!;
      const b = tensors.get(`blk.0.${to}.weight.lora_b`)!;
      const rank = b.dims[0]!;
      expect([a.dims[1], rank]).toEqual([update.a.shape[0], update.a.shape[0]]);
      const [theirs, ours] = [float32s(b), update.b.data];
      for (const [i, value] of theirs.entries())
        expect((alpha / rank) * value).toBeCloseTo(weight * update.scale * ours[i]!, 6);
      expect(float32s(a)).toEqual(update.a.data);
    }
  });

  it('has the rows of queries in the order of the base', async () => {
    const model = await opened('llama');
    const adapter = await adapterOf(model, join(fixture('llama'), 'adapter'));
    const path = newFile();
    await exportAdapterGguf(model, adapter, path, { type: 'f32' });
    const { tensors } = await readGguf(path);
    const { b } = adapter.tuning.lowRank!(adapter.params).find(({ module }) =>
      module.endsWith('0.self_attn.q_proj'),
    )!;
    const written = float32s(tensors.get('blk.0.attn_q.weight.lora_b')!);
    const { headDim } = model.definition.shape;
    const rank = b.shape[1]!;
    expect(written.subarray(rank, 2 * rank)).toEqual(
      b.data.subarray((headDim / 2) * rank, (headDim / 2 + 1) * rank),
    );
  });

  it('rounds to float16 where wanted', async () => {
    const model = await opened('llama');
    const adapter = await adapterOf(model, join(fixture('llama'), 'adapter'));
    const path = newFile();
    await exportAdapterGguf(model, adapter, path, { type: 'f16' });
    const { tensors } = await readGguf(path);
    const { a } = adapter.tuning.lowRank!(adapter.params)[0]!;
    const [first] = [...tensors.values()];
    const values = float16ToFloat32(new Uint16Array(first!.bytes.buffer));
    expect(values).toEqual(float16ToFloat32(float32ToFloat16(a.data)));
  });

  it('is refused for a kind that is no low-rank update', async () => {
    const model = await opened('llama');
    for (const name of ['llama-dora', 'llama-ia3', 'llama-lora-saved']) {
      const adapter = await adapterOf(model, join(fixture(name), 'adapter'));
      expect(await refusal(exportAdapterGguf(model, adapter, newFile(), { type: 'f32' }))).toMatchObject({
        code: 'ADAPTER_INVALID',
        hint: expect.stringContaining('--adapter-only'),
      });
    }
  });
});
