/**
 * Where the tensors of a model folder are: one `model.safetensors`, or the shards of `model.safetensors.index.json`.
 * It reads headers only and knows no architecture.
 */

import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { HeadwaterError } from '../base/errors.ts';
import { storageError, systemErrorCode } from '../base/io-errors.ts';
import type { StoredTensor } from './checkpoint.ts';
import { onlyGguf } from './foreign-quantization.ts';
import { openSafetensors } from './safetensors-node.ts';
import { parseWeightMap } from './weight-map.ts';

export const SINGLE_FILE = 'model.safetensors';
export const INDEX_FILE = 'model.safetensors.index.json';

/**
 * Every tensor of the folder by name. Throws MODEL_INVALID (missing shard, index and shard disagree), MODEL_UNSUPPORTED
 * (only pickle files) or SAFETENSORS_INVALID.
 */
export async function openShards(folder: string): Promise<ReadonlyMap<string, StoredTensor>> {
  const names = await readdir(folder).catch((cause) => {
    throw storageError(cause, 'read the folder', folder, 'MODEL_NOT_FOUND');
  });
  if (names.includes(SINGLE_FILE)) return tensorsOf(folder, SINGLE_FILE);
  if (names.includes(INDEX_FILE)) return indexedTensors(folder);
  throw noWeights(folder, names);
}

function noWeights(folder: string, names: readonly string[]): HeadwaterError {
  const gguf = names.filter((name) => name.endsWith('.gguf'));
  if (gguf.length > 0) return onlyGguf(folder, gguf);
  const pickles = names.filter((name) => /\.(bin|pt|pth|ckpt)$/.test(name));
  if (pickles.length > 0) return onlyPickles(folder, pickles);
  return new HeadwaterError('MODEL_INVALID', `there is no ${SINGLE_FILE} and no ${INDEX_FILE}`, {
    where: folder,
    hint: 'Give the folder that save_pretrained wrote, or a hub id.',
  });
}

/** Pickle files run code when loaded; Headwater never reads them. */
export function onlyPickles(where: string, pickles: readonly string[]): HeadwaterError {
  return new HeadwaterError(
    'MODEL_UNSUPPORTED',
    `the weights are only there as Python pickles (${pickles.slice(0, 3).join(', ')})`,
    {
      where,
      hint: 'Convert them with transformers: AutoModelForCausalLM.from_pretrained(…).save_pretrained(…).',
    },
  );
}

async function tensorsOf(folder: string, file: string): Promise<Map<string, StoredTensor>> {
  const opened = await openSafetensors(join(folder, file)).catch((cause) => {
    if (systemErrorCode(cause) === 'ENOENT' || systemErrorCode(cause?.cause) === 'ENOENT')
      throw new HeadwaterError('MODEL_INVALID', `shard ${file} is missing`, {
        where: folder,
        hint: `It is named in ${INDEX_FILE}. Download the model again.`,
      });
    throw cause;
  });
  return new Map([...opened.entries].map(([name, entry]) => [name, { ...entry, path: opened.path, file }]));
}

async function indexedTensors(folder: string): Promise<Map<string, StoredTensor>> {
  const weightMap = await readWeightMap(join(folder, INDEX_FILE));
  const all = new Map<string, StoredTensor>();
  for (const file of new Set(weightMap.values()))
    for (const [name, entry] of await tensorsOf(folder, file))
      if (weightMap.get(name) === file) all.set(name, entry);
  for (const [name, file] of weightMap)
    if (!all.has(name))
      throw new HeadwaterError(
        'MODEL_INVALID',
        `tensor "${name}" is not in ${file}, where ${INDEX_FILE} puts it`,
        {
          where: folder,
          hint: 'The shards belong to different versions; download the model again.',
        },
      );
  return all;
}

/** Tensor name → shard of an index file; names that are no plain file names are refused. Throws MODEL_INVALID. */
export async function readWeightMap(path: string): Promise<Map<string, string>> {
  return parseWeightMap(await readJson(path), path);
}

/** A JSON file of a model folder; throws MODEL_INVALID when it is no JSON, MODEL_NOT_FOUND when it is not there. */
export async function readJson(path: string): Promise<unknown> {
  const text = await readFile(path, 'utf8').catch((cause) => {
    throw storageError(cause, `read ${basename(path)}`, path, 'MODEL_NOT_FOUND');
  });
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new HeadwaterError('MODEL_INVALID', `no valid JSON: ${(cause as Error).message}`, {
      where: path,
      cause,
    });
  }
}
