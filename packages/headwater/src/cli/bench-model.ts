/** The model that a benchmark runs: a folder as it is, or shapes filled with random weights that are kept in a cache. */

import { access, constants, readdir, readFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { digestJson } from '../base/canonical.ts';
import { HeadwaterError } from '../base/errors.ts';
import { storageError } from '../base/io-errors.ts';
import { makeFolder } from '../base/make-folder-node.ts';
import { openCheckpoint } from '../models/checkpoint-node.ts';
import type { Model } from '../models/model.ts';
import { writeRandomCheckpoint } from '../models/random-checkpoint-node.ts';

/** The shapes of SmolLM2-135M. */
const DEFAULT_CONFIG = {
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  hidden_size: 576,
  intermediate_size: 1536,
  num_hidden_layers: 30,
  num_attention_heads: 9,
  num_key_value_heads: 3,
  vocab_size: 49152,
  max_position_embeddings: 2048,
  tie_word_embeddings: true,
  rms_norm_eps: 1e-6,
  hidden_act: 'silu',
  bos_token_id: 1,
  eos_token_id: 2,
};

export interface BenchModel {
  readonly model: Model;
  /** Made up: its loss must be close to ln V. */
  readonly random: boolean;
}

/** `folder` undefined: the default shapes. Throws what opening a checkpoint throws. */
export async function benchModel(folder: string | undefined): Promise<BenchModel> {
  if (folder !== undefined && (await hasWeights(folder)))
    return { model: await openCheckpoint(folder), random: false };
  const config = folder === undefined ? DEFAULT_CONFIG : await readConfig(join(folder, 'config.json'));
  const cache = join(await cacheFolder(), `random-${digestJson(config).slice(0, 16)}`);
  await writeRandomCheckpoint(cache, config, 0);
  return { model: await openCheckpoint(cache, { checkFinite: false }), random: true };
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

/** Half a gigabyte worth keeping between benchmarks; where there is no home, the temporary folder. */
async function cacheFolder(): Promise<string> {
  const home = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const folder = join(home, 'headwater');
  try {
    await makeFolder(folder);
    await access(folder, constants.W_OK);
    return folder;
  } catch {
    return join(tmpdir(), 'headwater');
  }
}
