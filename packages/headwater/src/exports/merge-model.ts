/**
 * `headwater merge`: a Hugging Face folder whose weights hold the adapters. Every file keeps its header (names, shapes,
 * dtypes, sharding); tensors that the adapters leave alone keep their bytes. One tensor is in memory at a time.
 */

import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { writeSynced } from '../base/durable-node.ts';
import { HeadwaterError } from '../base/errors.ts';
import { firstNonFinite, narrowed } from '../base/half.ts';
import { bytesOf, sizeOf, type Tensor, tensor } from '../base/tensor.ts';
import type { Model } from '../models/model.ts';
import type { SafetensorsEntry } from '../models/safetensors-header.ts';
import { openSafetensors, readBytes, type SafetensorsFile, streamBytes } from '../models/safetensors-node.ts';
import { INDEX_FILE, openShards, readJson, SINGLE_FILE, type StoredTensor } from '../models/shards-node.ts';
import { writeFolder } from '../training/folder-node.ts';
import { copyCompanions, writeModelFolder } from '../training/model-folder-node.ts';
import { type MergedWeights, mergedWeights, type WeightedAdapter } from './merged-weights.ts';
import { checkNewTarget, type FreeBytes } from './new-target.ts';

export interface MergeResult {
  readonly files: readonly string[];
  readonly numTensors: number;
  readonly numChanged: number;
  readonly sizeBytes: number;
}

/**
 * Writes `out` whole or not at all. Throws ADAPTER_INVALID (a kind that cannot be merged), MODEL_INVALID (a merged value
 * that the stored dtype cannot hold), OPTION_INVALID (`out` exists) and STORAGE_FAILED.
 */
export async function mergeModel(
  model: Model,
  adapters: readonly WeightedAdapter[],
  out: string,
  freeBytes?: FreeBytes,
): Promise<MergeResult> {
  const merged = mergedWeights(model, adapters);
  if (hasFreshHead(model)) return mergeWithHead(model, merged, out, freeBytes);
  const stored = await openShards(model.folder);
  const shards = await openFiles(model.folder, stored);
  const sizeBytes = [...shards.values()].reduce((sum, { fileBytes }) => sum + fileBytes, 0);
  await checkNewTarget(out, sizeBytes, freeBytes);
  const names = definitionNames(model);
  await writeFolder(out, async (temporary) => {
    await copyCompanions(model.folder, temporary);
    for (const [file, shard] of shards) await writeShard(join(temporary, file), shard, merged, names);
    if (!shards.has(SINGLE_FILE)) await writeIndex(model.folder, temporary, stored);
  });
  return { files: [...shards.keys()], numTensors: stored.size, numChanged: merged.changed.size, sizeBytes };
}

/** A head that the base does not hold has no place in its files: all tensors are written anew, as float32. */
async function mergeWithHead(
  model: Model,
  merged: MergedWeights,
  out: string,
  freeBytes: FreeBytes | undefined,
): Promise<MergeResult> {
  const { parameters } = model.definition;
  const sizeBytes = [...parameters.values()].reduce((sum, shape) => sum + 4 * sizeOf(shape), 0);
  await checkNewTarget(out, sizeBytes, freeBytes);
  const params = new Map<string, Tensor<'float32'>>();
  for (const [name, shape] of parameters) params.set(name, tensor('float32', shape, await merged.read(name)));
  await writeModelFolder(out, model, params);
  return { files: [SINGLE_FILE], numTensors: params.size, numChanged: merged.changed.size, sizeBytes };
}

function hasFreshHead({ definition }: Model): boolean {
  return (definition.classifier?.freshModules.length ?? 0) > 0;
}

async function openFiles(
  folder: string,
  stored: ReadonlyMap<string, StoredTensor>,
): Promise<Map<string, SafetensorsFile>> {
  const files = [...new Set([...stored.values()].map(({ file }) => file))].sort();
  const opened = new Map<string, SafetensorsFile>();
  for (const file of files) opened.set(file, await openSafetensors(join(folder, file)));
  return opened;
}

/** Place of a tensor → the name that the model knows it by, where files and model may spell names differently. */
function definitionNames({ weights, storedTypes }: Model): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const name of storedTypes.keys()) {
    const location = weights.locate(name);
    if (location.kind === 'file') names.set(placeOf(location.path, location.offsetBytes), name);
  }
  return names;
}

function placeOf(path: string, offsetBytes: number): string {
  return `${offsetBytes} ${path}`;
}

async function writeShard(
  path: string,
  shard: SafetensorsFile,
  merged: MergedWeights,
  names: ReadonlyMap<string, string>,
): Promise<void> {
  const handle = await open(path, 'wx');
  try {
    await handle.writeFile(await readBytes(shard.path, 0, shard.dataOffsetBytes));
    for (const entry of inFileOrder(shard)) {
      const name = names.get(placeOf(shard.path, entry.offsetBytes));
      if (name !== undefined && entry.lengthBytes > 0 && merged.changed.has(name))
        await handle.writeFile(mergedBytes(entry, await merged.read(name), shard.path));
      else
        for await (const piece of streamBytes(shard.path, entry.offsetBytes, entry.lengthBytes))
          await handle.writeFile(piece);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

function inFileOrder({ entries }: SafetensorsFile): SafetensorsEntry[] {
  return [...entries.values()].sort((a, b) => a.offsetBytes - b.offsetBytes || a.lengthBytes - b.lengthBytes);
}

/** Rounded to nearest even into the stored dtype. */
function mergedBytes({ name, dtype, shape }: SafetensorsEntry, values: Float32Array, where: string) {
  const result = narrowed(dtype as 'float32' | 'float16' | 'bfloat16', shape, values);
  const bad = firstNonFinite(result);
  if (bad >= 0)
    throw new HeadwaterError(
      'MODEL_INVALID',
      `element ${bad} of the merged tensor "${name}" is ${values[bad]}, which ${dtype} cannot hold`,
      { where, hint: 'Merge into a float32 or bfloat16 copy of the base, or with a smaller weight.' },
    );
  return bytesOf(result.data);
}

/** The index with the size that the tensors have, whatever the old one said. */
async function writeIndex(
  from: string,
  to: string,
  stored: ReadonlyMap<string, StoredTensor>,
): Promise<void> {
  const index = (await readJson(join(from, INDEX_FILE))) as { metadata?: Record<string, unknown> };
  const total = [...stored.values()].reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  const weightMap = Object.fromEntries([...stored].map(([name, { file }]) => [name, file]).sort());
  const document = { metadata: { ...index.metadata, total_size: total }, weight_map: weightMap };
  await writeSynced(join(to, INDEX_FILE), `${JSON.stringify(document, null, 2)}\n`);
}
