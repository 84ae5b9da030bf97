import { cp, mkdtemp, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeEach, describe, expect, it } from 'vitest';
import { rejection } from '../../test/support/outcome.ts';
import { float32ToBfloat16, float32ToFloat16 } from '../base/half.ts';
import { type Tensor, tensor } from '../base/tensor.ts';
import { checkFinite, openCheckpoint, openModel, readWeight } from './checkpoint-node.ts';
import { readSafetensors, writeSafetensorsFile } from './safetensors-node.ts';

const llama = fileURLToPath(new URL('../../test/fixtures/huggingface/llama', import.meta.url));
const original = (await readSafetensors(join(llama, 'model.safetensors'))).tensors;

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-model-'));
  await cp(llama, folder, { recursive: true });
  return () => rm(folder, { recursive: true, force: true });
});

const file = (name = 'model.safetensors') => join(folder, name);
const failure = () => rejection(openCheckpoint(folder));
const rewrite = (change: (tensors: Map<string, Tensor>) => void) => {
  const tensors = new Map(original);
  change(tensors);
  return writeSafetensorsFile(file(), tensors);
};
const editJson = async (name: string, change: object) =>
  writeFile(file(name), JSON.stringify({ ...JSON.parse(await readFile(file(name), 'utf8')), ...change }));

/** The fixture as three shards with an index; every third tensor in the same shard. */
async function shard(): Promise<Record<string, string>> {
  const weightMap: Record<string, string> = {};
  const shards = new Map<string, Map<string, Tensor>>();
  for (const [i, [name, value]] of [...original].entries()) {
    const shardName = `model-0000${(i % 3) + 1}-of-00003.safetensors`;
    weightMap[name] = shardName;
    if (!shards.has(shardName)) shards.set(shardName, new Map());
    shards.get(shardName)?.set(name, value);
  }
  for (const [name, tensors] of shards) await writeSafetensorsFile(file(name), tensors);
  await rm(file());
  await writeIndex(weightMap);
  return weightMap;
}

const writeIndex = (weightMap: object) =>
  writeFile(file('model.safetensors.index.json'), JSON.stringify({ metadata: {}, weight_map: weightMap }));

describe('openCheckpoint', () => {
  it('reads every weight as the file has it', async () => {
    const model = await openModel(folder);
    expect(model.source).toBe(folder);
    expect(model.definition.parameters.size).toBe(original.size);
    for (const [name, { data }] of original) expect(await readWeight(model.weights, name)).toEqual(data);
    expect(model.bosTokenId).toBe(1);
    expect(model.padTokenId).toBeUndefined();
  });

  it('opens a sharded checkpoint with the same weights and the same digest', async () => {
    const whole = await (await openCheckpoint(folder)).digest();
    await shard();
    const model = await openCheckpoint(folder);
    for (const [name, { data }] of original) expect(await readWeight(model.weights, name)).toEqual(data);
    const location = model.weights.locate('model.norm.weight');
    expect(location).toMatchObject({ kind: 'file', type: { dtype: 'float32', shape: [32] } });
    expect(await model.digest()).toBe(whole);
  });

  it('changes its digest with a weight, a setting or a dtype, and with nothing else', async () => {
    const digest = async () => (await openCheckpoint(folder)).digest();
    const before = await digest();
    await rewrite((tensors) => tensors.set('rotary.inv_freq', tensor('float32', [1], Float32Array.of(1))));
    expect(await digest()).toBe(before);
    await rewrite((tensors) =>
      tensors.set('model.norm.weight', tensor('float32', [32], new Float32Array(32))),
    );
    const weight = await digest();
    await editJson('config.json', { rms_norm_eps: 1e-5 });
    const setting = await digest();
    expect(new Set([before, weight, setting]).size).toBe(3);
  });

  it.each([
    ['bfloat16', float32ToBfloat16, 2 ** -8],
    ['float16', float32ToFloat16, 2 ** -11],
  ] as const)('reads %s weights as float32', async (dtype, narrow, precision) => {
    await rewrite((tensors) => {
      for (const [name, { shape, data }] of original)
        tensors.set(name, tensor(dtype, shape, narrow(data as Float32Array)));
    });
    const model = await openCheckpoint(folder);
    expect(model.storedTypes.get('lm_head.weight')).toEqual({ dtype, shape: [160, 32] });
    const values = await readWeight(model.weights, 'lm_head.weight');
    const exact = original.get('lm_head.weight')?.data as Float32Array;
    const worst = values.reduce(
      (max, x, i) => Math.max(max, Math.abs(x - exact[i]!) / (Math.abs(exact[i]!) + 1e-4)),
      0,
    );
    expect(worst).toBeGreaterThan(0);
    expect(worst).toBeLessThan(precision);
  });

  it('gives real paths where the folder is made of links', async () => {
    const links = await mkdtemp(join(tmpdir(), 'headwater-links-'));
    for (const name of ['config.json', 'model.safetensors']) await symlink(file(name), join(links, name));
    const location = (await openCheckpoint(links)).weights.locate('lm_head.weight');
    expect(location).toMatchObject({ kind: 'file', path: file() });
    await rm(links, { recursive: true });
  });

  it('takes several end tokens and prefers generation_config.json', async () => {
    await editJson('generation_config.json', { eos_token_id: [7, 2], bos_token_id: null });
    const model = await openCheckpoint(folder);
    expect(model.eosTokenIds).toEqual([7, 2]);
    expect(model.bosTokenId).toBe(1);
    await rm(file('generation_config.json'));
    expect((await openCheckpoint(folder)).eosTokenIds).toEqual([2]);
    await editJson('config.json', { eos_token_id: [160, 3], bos_token_id: 50256, pad_token_id: -1 });
    const small = await openCheckpoint(folder);
    expect(small).toMatchObject({ eosTokenIds: [3], bosTokenId: undefined, padTokenId: undefined });
    await editJson('config.json', { eos_token_id: 'end' });
    expect((await failure()).message).toContain('eos_token_id');
  });
});

describe('bad checkpoints', () => {
  it('missing folder, file instead of a folder, missing or broken config.json', async () => {
    expect((await rejection(openCheckpoint(file('nowhere')))).code).toBe('MODEL_NOT_FOUND');
    expect((await rejection(openCheckpoint(file()))).code).toBe('MODEL_NOT_FOUND');
    await writeFile(file('config.json'), '{');
    expect((await failure()).code).toBe('MODEL_INVALID');
    await rm(file('config.json'));
    expect(await failure()).toMatchObject({ code: 'MODEL_NOT_FOUND' });
  });

  it('missing tensor: named', async () => {
    await rewrite((tensors) => tensors.delete('model.layers.1.mlp.up_proj.weight'));
    const error = await failure();
    expect(error.code).toBe('MODEL_INVALID');
    expect(error.message).toContain('"model.layers.1.mlp.up_proj.weight" is missing');
  });

  it('wrong shape: got and expected', async () => {
    await rewrite((tensors) =>
      tensors.set('lm_head.weight', tensor('float32', [32, 160], new Float32Array(5120))),
    );
    const error = await failure();
    expect(error.code).toBe('MODEL_INVALID');
    expect(error.message).toContain('[32,160]');
    expect(error.message).toContain('[160,32]');
    expect(error.where).toContain('model.safetensors');
  });

  it('config.json of another size', async () => {
    await editJson('config.json', { vocab_size: 161 });
    expect((await failure()).message).toContain('[161,32]');
  });

  it('unsupported dtype: named with its file', async () => {
    await rewrite((tensors) => tensors.set('model.norm.weight', tensor('int8', [32], new Int8Array(32))));
    const error = await failure();
    expect(error.code).toBe('MODEL_UNSUPPORTED');
    expect(error.message).toContain('"model.norm.weight" is stored as I8');
  });

  it('truncated anywhere, or with bytes behind', async () => {
    const whole = await readFile(file());
    for (const bytes of [0, 4, 8, 500, whole.byteLength - 1]) {
      await writeFile(file(), whole);
      await truncate(file(), bytes);
      expect(await failure()).toMatchObject({ code: 'SAFETENSORS_INVALID' });
    }
    await writeFile(file(), Buffer.concat([whole, Buffer.from('PK')]));
    expect((await failure()).message).toContain('MetadataIncompleteBuffer');
  });

  it('NaN or infinity is an error of the model, found when opening or when asked', async () => {
    for (const bad of [Number.NaN, Number.NEGATIVE_INFINITY]) {
      const poisoned = (original.get('lm_head.weight') as Tensor<'float32'>).data.slice();
      poisoned[777] = bad;
      await rewrite((tensors) => tensors.set('lm_head.weight', tensor('float32', [160, 32], poisoned)));
      const error = await failure();
      expect(error.code).toBe('MODEL_INVALID');
      expect(error.message).toContain('"lm_head.weight"');
      expect(error.message).toContain('element 777 of 5120');
      const model = await openCheckpoint(folder, { checkFinite: false });
      expect(await rejection(checkFinite(model))).toMatchObject({ code: 'MODEL_INVALID' });
    }
  });

  it('a header with a leading space is tolerated', async () => {
    const whole = await readFile(file());
    const length = Number(whole.readBigUInt64LE(0));
    const moved = Buffer.concat([Buffer.alloc(8), Buffer.from(' '), whole.subarray(8)]);
    moved.writeBigUInt64LE(BigInt(length + 1), 0);
    await writeFile(file(), moved);
    const model = await openCheckpoint(folder);
    expect(await readWeight(model.weights, 'lm_head.weight')).toEqual(original.get('lm_head.weight')?.data);
  });

  it('only pickles: what to do', async () => {
    await rm(file());
    expect((await failure()).code).toBe('MODEL_INVALID');
    await writeFile(file('pytorch_model.bin'), 'x');
    const error = await failure();
    expect(error.code).toBe('MODEL_UNSUPPORTED');
    expect(error.hint).toContain('save_pretrained');
  });

  it('a shard that is missing, disagrees with the index, or lies outside of the folder', async () => {
    const weightMap = await shard();
    await rm(file('model-00002-of-00003.safetensors'));
    expect((await failure()).message).toContain('model-00002-of-00003.safetensors is missing');
    await writeIndex({ ...weightMap, 'lm_head.weight': 'model-00003-of-00003.safetensors' });
    for (const bad of ['../model.safetensors', '/etc/passwd', 'sub\\x.safetensors', 7]) {
      await writeIndex({ ...weightMap, 'lm_head.weight': bad });
      expect(await failure()).toMatchObject({ code: 'MODEL_INVALID' });
    }
  });

  it('an index that puts a tensor into the wrong shard', async () => {
    const weightMap = await shard();
    const [name, right] = Object.entries(weightMap)[0] as [string, string];
    const wrong = Object.values(weightMap).find((other) => other !== right);
    await writeIndex({ ...weightMap, [name]: wrong });
    expect((await failure()).message).toContain(`"${name}" is not in ${wrong}`);
  });
});

describe('writeSafetensorsFile', () => {
  it('replaces a file whole, leaves the old one when it fails', async () => {
    const small = new Map([['x', tensor('float32', [2], Float32Array.of(1, 2))]]);
    await writeSafetensorsFile(file(), small);
    expect((await readSafetensors(file(), 'upload')).tensors).toEqual(small);
    expect(await rejection(writeSafetensorsFile(join(folder, 'no', 'x'), small))).toMatchObject({
      code: 'STORAGE_FAILED',
    });
  });
});
