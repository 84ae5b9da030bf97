import { cp, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FIXTURES } from '../../test/training-setup.ts';
import { float32Values, narrowed } from '../base/half.ts';
import { type Params, type Tensor, tensor } from '../base/tensor.ts';
import { openCheckpoint, readWeight } from '../models/checkpoint-node.ts';
import type { Model } from '../models/model.ts';
import { readSafetensors, writeSafetensorsFile } from '../models/safetensors-node.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { readAdapterFolder } from '../training/adapter-folder-node.ts';
import { createRunner } from '../training/runner.ts';
import { relativeError } from '../training/verify.ts';
import { frozen } from '../tuning/frozen.ts';
import type { BoundTuning } from '../tuning/kind.ts';
import { mergeModel } from './merge-model.ts';
import type { WeightedAdapter } from './merged-weights.ts';

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'headwater-merge-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

const fixture = (name: string) => join(FIXTURES, 'huggingface', name);

async function adapterOf(model: Model, folder: string, weight = 1): Promise<WeightedAdapter> {
  return { source: folder, ...(await readAdapterFolder(folder, model.definition)), weight };
}

/** Logits of one sequence of twelve tokens. */
async function logitsOf(
  model: Model,
  { tuning, params }: { tuning: BoundTuning; params: Params } = { tuning: frozen, params: new Map() },
): Promise<Float32Array> {
  const executor = createNodeExecutor();
  const length = 12;
  const row = (value: (i: number) => number) => Int32Array.from({ length }, (_, i) => value(i));
  const batch = {
    ...{ batchSize: 1, length, tokens: row((i) => 1 + 7 * i), positions: row((i) => i) },
    segments: row(() => 1),
  };
  const logits = await createRunner({ model, tuning, executor }).logits(params, batch);
  await executor.dispose();
  return logits;
}

function error(got: Float32Array, reference: Float32Array): number {
  return relativeError({ name: '', got, reference });
}

const CASES = [
  ['llama', 'llama'],
  ['llama', 'llama-rslora'],
  ['llama', 'llama-lora-rank-pattern'],
  ['llama', 'llama-dora'],
  ['llama', 'llama-ia3'],
  ['llama', 'llama-lora-saved'],
  ['gpt2', 'gpt2'],
  ['gpt2', 'gpt2-dora'],
  ['gpt2', 'gpt2-ia3'],
  ['qwen2', 'qwen2-lora-bias-all'],
  ['bert-cls', 'bert-cls'],
] as const;

describe('a merged model', () => {
  it.each(CASES)('of %s and the adapter of %s computes what both compute', async (base, adapter) => {
    const model = await openCheckpoint(fixture(base));
    const read = await adapterOf(model, join(fixture(adapter), 'adapter'));
    const out = join(scratch, `${base}-${adapter}`);
    const result = await mergeModel(model, [read], out);
    expect(result.numChanged).toBeGreaterThan(0);
    const expected = await logitsOf(model, read);
    expect(error(await logitsOf(await openCheckpoint(out)), expected)).toBeLessThan(2e-6);
    expect(error(await logitsOf(model), expected)).toBeGreaterThan(0.01);
  });

  it('adds up adapters by their weights', async () => {
    const model = await openCheckpoint(fixture('llama'));
    const folder = join(fixture('llama'), 'adapter');
    const whole = await adapterOf(model, folder);
    const twice = [await adapterOf(model, folder, 0.25), await adapterOf(model, folder, 0.75)];
    await mergeModel(model, [whole], join(scratch, 'one'));
    await mergeModel(model, twice, join(scratch, 'two'));
    const [one, two] = [
      await openCheckpoint(join(scratch, 'one')),
      await openCheckpoint(join(scratch, 'two')),
    ];
    const name = 'model.layers.0.self_attn.q_proj.weight';
    const [a, b, base] = [
      await readWeight(one.weights, name),
      await readWeight(two.weights, name),
      await readWeight(model.weights, name),
    ];
    expect(error(b, a)).toBeLessThan(1e-6);
    expect(error(base, a)).toBeGreaterThan(0.1);
  });

  it('keeps files, header, untouched bytes, configuration and tokenizer', async () => {
    const source = join(scratch, 'with-tokenizer');
    await cp(fixture('llama'), source, { recursive: true });
    for (const name of ['tokenizer.json', 'LICENSE', 'README.md']) await writeFile(join(source, name), name);
    const model = await openCheckpoint(source);
    const out = join(scratch, 'companions');
    await mergeModel(model, [await adapterOf(model, join(source, 'adapter'))], out);
    expect((await readdir(out)).sort()).toEqual([
      ...['LICENSE', 'config.json', 'generation_config.json', 'model.safetensors', 'tokenizer.json'],
    ]);
    for (const name of ['config.json', 'generation_config.json', 'tokenizer.json'])
      expect(await readFile(join(out, name))).toEqual(await readFile(join(source, name)));
    const [before, after] = await Promise.all(
      [source, out].map((folder) => readFile(join(folder, 'model.safetensors'))),
    );
    const headerBytes = 8 + Number(before!.readBigUInt64LE());
    expect(after!.subarray(0, headerBytes)).toEqual(before!.subarray(0, headerBytes));
    const [old, merged] = await Promise.all(
      [source, out].map((folder) => readSafetensors(join(folder, 'model.safetensors'))),
    );
    const same = [...old!.tensors].filter(([name, value]) => equal(value, merged!.tensors.get(name)!));
    expect(same.map(([name]) => name).sort()).toEqual(
      [
        'lm_head.weight',
        ...[0, 1].flatMap((layer) => [
          `model.layers.${layer}.input_layernorm.weight`,
          `model.layers.${layer}.post_attention_layernorm.weight`,
        ]),
        ...['model.embed_tokens.weight', 'model.norm.weight'],
      ].sort(),
    );
  });

  it.each(['float16', 'bfloat16'] as const)('stays %s, rounded from the exact sum', async (dtype) => {
    const source = join(scratch, dtype);
    await cp(fixture('llama'), source, { recursive: true });
    const { tensors } = await readSafetensors(join(source, 'model.safetensors'));
    const stored = new Map([...tensors].map(([name, value]) => [name, inType(dtype, value)]));
    await writeSafetensorsFile(join(source, 'model.safetensors'), stored);
    const model = await openCheckpoint(source);
    const read = await adapterOf(model, join(source, 'adapter'));
    const out = join(scratch, `${dtype}-merged`);
    await mergeModel(model, [read], out);
    const { tensors: merged } = await readSafetensors(join(out, 'model.safetensors'));
    const changes = read.tuning.merged!(read.params);
    expect(changes.size).toBe(14);
    for (const [name, value] of stored) {
      const exact = changes.get(name)?.(float32Values(value)) ?? float32Values(value);
      expect(merged.get(name)).toEqual(narrowed(dtype, value.shape, exact));
    }
  });

  it('keeps the shards and says how large they are, whatever the old index said', async () => {
    const source = join(scratch, 'sharded');
    await cp(join(FIXTURES, 'training/other-forms/sharded-window'), source, { recursive: true });
    const index = join(source, 'model.safetensors.index.json');
    const before = JSON.parse(await readFile(index, 'utf8'));
    await writeFile(index, JSON.stringify({ ...before, metadata: { total_size: 1, note: 'kept' } }));
    const model = await openCheckpoint(source);
    const read = await adapterOf(model, join(source, 'adapter'));
    const out = join(scratch, 'sharded-merged');
    const result = await mergeModel(model, [read], out);
    const after = JSON.parse(await readFile(join(out, 'model.safetensors.index.json'), 'utf8'));
    expect(after.weight_map).toEqual(before.weight_map);
    expect(after.metadata).toEqual({ note: 'kept', total_size: before.metadata.total_size });
    expect(result.files).toEqual([...new Set(Object.values(before.weight_map))].sort());
    const opened = await openCheckpoint(out);
    // Its weights are bfloat16: what is lost in rounding the sums.
    const expected = await logitsOf(model, read);
    expect(error(await logitsOf(opened), expected)).toBeLessThan(5e-3);
    expect(error(await logitsOf(model), expected)).toBeGreaterThan(0.1);
  });

  it('holds a head that the base does not have', async () => {
    const labels = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    const model = await openCheckpoint(fixture('bert-cls'), { labels });
    const out = join(scratch, 'new-head');
    await mergeModel(model, [], out);
    const opened = await openCheckpoint(out);
    expect(opened.definition.classifier!.labels).toEqual(labels);
    expect(opened.definition.classifier!.freshModules).toEqual([]);
    expect(await logitsOf(opened)).toEqual(await logitsOf(model));
  });
});

function equal(a: Tensor, b: Tensor): boolean {
  return a.data.every((value, i) => value === b.data[i]);
}

function inType(dtype: 'float16' | 'bfloat16', value: Tensor): Tensor {
  return narrowed(dtype, value.shape, float32Values(value));
}

describe('merging is refused', () => {
  const model = () => openCheckpoint(fixture('llama'));
  const own = join(fixture('llama'), 'adapter');

  it('for an adapter that no weight can hold', async () => {
    const opened = await model();
    const tuning: BoundTuning = { ...frozen, kind: 'prompt-tuning', virtual: { count: 4, as: 'tokens' } };
    const adapter = { source: 'prompts', tuning, params: new Map(), weight: 1 };
    const out = join(scratch, 'prompts');
    await expect(mergeModel(opened, [adapter], out)).rejects.toMatchObject({
      code: 'ADAPTER_INVALID',
      where: 'prompts',
      message: expect.stringContaining('adds positions before every sequence'),
    });
    await expect(mergeModel(opened, [{ ...adapter, tuning: frozen }], out)).rejects.toMatchObject({
      code: 'ADAPTER_INVALID',
    });
  });

  it('for an adapter of another base', async () => {
    const opened = await model();
    await expect(adapterOf(opened, join(fixture('qwen3'), 'adapter'))).rejects.toMatchObject({
      code: 'ADAPTER_INVALID',
      hint: expect.stringContaining('does not belong to this model'),
    });
  });

  it('where the output is there already, or does not fit on the disk', async () => {
    const opened = await model();
    const adapter = await adapterOf(opened, own);
    await expect(mergeModel(opened, [adapter], scratch)).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    const out = join(scratch, 'no/room');
    await expect(mergeModel(opened, [adapter], out, async () => 1000)).rejects.toMatchObject({
      code: 'STORAGE_FAILED',
      message: '105 kB are needed, the disk has 1 kB left',
    });
    expect(await readdir(scratch)).not.toContain('no');
  });

  it('when a sum is too large for the dtype, and leaves nothing behind', async () => {
    const source = join(scratch, 'overflow');
    await cp(fixture('llama'), source, { recursive: true });
    const { tensors } = await readSafetensors(join(source, 'model.safetensors'));
    const stored = new Map([...tensors].map(([name, value]) => [name, inType('float16', value)]));
    await writeSafetensorsFile(join(source, 'model.safetensors'), stored);
    const opened = await openCheckpoint(source);
    const adapter = await adapterOf(opened, own, 1e9);
    await expect(mergeModel(opened, [adapter], join(scratch, 'overflown'))).rejects.toMatchObject({
      code: 'MODEL_INVALID',
      message: expect.stringContaining('which float16 cannot hold'),
    });
    expect((await readdir(scratch)).filter((name) => name.includes('overflown'))).toEqual([]);
  });

  it.each([
    ['is missing', (shard: string) => rm(shard), 'MODEL_INVALID', /shard .* is missing/],
    ['was cut', (shard: string) => truncate(shard, 3000), 'SAFETENSORS_INVALID', /MetadataIncompleteBuffer/],
    [
      'holds other tensors than the index says',
      (shard: string) =>
        rm(shard).then(() =>
          writeSafetensorsFile(shard, new Map([['x', tensor('float32', [1], Float32Array.of(1))]])),
        ),
      'MODEL_INVALID',
      /is not in model-00002-of-00004.safetensors, where/,
    ],
  ])(
    'when a shard %s since the model was opened, and leaves nothing behind',
    async (name, spoil, code, message) => {
      const source = join(scratch, `spoilt ${name}`);
      await cp(join(FIXTURES, 'training/other-forms/sharded-window'), source, { recursive: true });
      const opened = await openCheckpoint(source);
      const adapter = await adapterOf(opened, join(source, 'adapter'));
      await spoil(join(source, 'model-00002-of-00004.safetensors'));
      const out = join(scratch, `out ${name}`);
      await expect(mergeModel(opened, [adapter], out)).rejects.toMatchObject({
        code,
        message: expect.stringMatching(message),
      });
      expect((await readdir(scratch)).filter((entry) => entry.startsWith('out '))).toEqual([]);
    },
  );
});
