/** The model that a benchmark runs: a folder as it is, or shapes filled with random weights that are kept in a cache. */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder } from '../base/cache-folder-node.ts';
import { digestJson } from '../base/canonical.ts';
import { HeadwaterError } from '../base/errors.ts';
import { storageError } from '../base/io-errors.ts';
import { openCheckpoint } from '../models/checkpoint-node.ts';
import type { Model } from '../models/model.ts';
import { writeRandomCheckpoint } from '../models/random-checkpoint-node.ts';
import { quantizedModel } from '../training/quantized-model-node.ts';

const LLAMA = { architectures: ['LlamaForCausalLM'], model_type: 'llama', hidden_act: 'silu' };

/** The shapes of SmolLM2-135M. */
const SMOL_CONFIG = {
  ...LLAMA,
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  vocab_size: 49152,
  max_position_embeddings: 2048,
  tie_word_embeddings: true,
  rms_norm_eps: 1e-6,
  bos_token_id: 1,
  eos_token_id: 2,
};

/** The shapes of TinyLlama-1.1B. */
const TINY_LLAMA_CONFIG = {
  ...LLAMA,
  hidden_size: 2048,
  intermediate_size: 5632,
  num_hidden_layers: 22,
  num_attention_heads: 32,
  num_key_value_heads: 4,
  vocab_size: 32000,
  max_position_embeddings: 2048,
  rms_norm_eps: 1e-5,
  bos_token_id: 1,
  eos_token_id: 2,
};

const CONFIGS = { '135m': SMOL_CONFIG, '1.1b': TINY_LLAMA_CONFIG } as const;
/** Of models whose weights are made up. */
export type Shapes = keyof typeof CONFIGS;
export const SHAPES = Object.keys(CONFIGS) as readonly Shapes[];

export interface BenchModel {
  readonly model: Model;
  /** Made up: its loss must be close to ln V. */
  readonly random: boolean;
}

export const STORAGES = ['float32', 'float16', 'bfloat16', 'int8', 'int4'] as const;
/** How frozen weights are stored. */
export type Storage = (typeof STORAGES)[number];

export interface BenchModelOptions {
  /** Undefined: as the folder has it, float32 for made-up weights. */
  readonly storage?: Storage | undefined;
  /** Where no folder is given. */
  readonly shapes?: Shapes | undefined;
}

/** `folder` undefined: made-up weights. Throws what opening a checkpoint throws. */
export async function benchModel(
  folder: string | undefined,
  { storage, shapes = '135m' }: BenchModelOptions = {},
): Promise<BenchModel> {
  const bench =
    folder !== undefined && (await hasWeights(folder))
      ? { model: await storedModel(folder, storage), random: false }
      : { model: await randomModel(await configOf(folder, shapes), storage), random: true };
  if (storage !== 'int8' && storage !== 'int4') return bench;
  return { ...bench, model: await quantizedModel(bench.model, { kind: storage, blockSize: 32 }) };
}

async function storedModel(folder: string, storage: Storage | undefined): Promise<Model> {
  const model = await openCheckpoint(folder);
  const dtypes = [...new Set([...model.storedTypes.values()].map(({ dtype }) => dtype))];
  if (storage === undefined || storage.startsWith('int') || dtypes.join() === storage) return model;
  throw new HeadwaterError('OPTION_INVALID', `--storage ${storage}: the weights are ${dtypes.join(', ')}`, {
    where: folder,
    hint: 'Give int8 or int4, leave it out, or give a folder without weights, for which some are made up.',
  });
}

function configOf(folder: string | undefined, shapes: Shapes): Promise<Record<string, unknown>> {
  return folder === undefined ? Promise.resolve(CONFIGS[shapes]) : readConfig(join(folder, 'config.json'));
}

async function randomModel(config: Record<string, unknown>, storage: Storage = 'float32'): Promise<Model> {
  const dtype = storage === 'float16' || storage === 'bfloat16' ? storage : 'float32';
  const suffix = dtype === 'float32' ? '' : `-${dtype}`;
  const cache = join(await cacheFolder(), `random-${digestJson(config).slice(0, 16)}${suffix}`);
  await writeRandomCheckpoint(cache, config, 0, dtype);
  return openCheckpoint(cache, { checkFinite: false });
}

async function hasWeights(folder: string): Promise<boolean> {
  const files = await readdir(folder).catch(() => []);
  return files.some((file) => file.endsWith('.safetensors'));
}

async function readConfig(file: string): Promise<Record<string, unknown>> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  } catch (cause) {
    if (cause instanceof SyntaxError)
      throw new HeadwaterError('MODEL_INVALID', `no JSON: ${cause.message}`, { where: file, cause });
    throw storageError(cause, 'read the configuration', file, 'MODEL_NOT_FOUND');
  }
}
