/**
 * `headwater merge`: a Hugging Face folder whose weights hold the adapters. Names, shapes, dtypes and sharding stay; tensors
 * that the adapters leave alone keep their bytes. One tensor is in memory at a time.
 */

import { join } from 'node:path';
import { writeSynced } from '../base/durable-node.ts';
import type { StoredTensor } from '../models/checkpoint.ts';
import type { Model } from '../models/model.ts';
import { openSafetensors } from '../models/safetensors-node.ts';
import { INDEX_FILE, openShards, readJson, SINGLE_FILE } from '../models/shards-node.ts';
import { writeFolder } from '../training/folder-node.ts';
import { writeCompanions } from '../training/model-folder-node.ts';
import { type FilePlan, type FloatType, placeOf, planFile, writePlannedFile } from './merged-file.ts';
import { mergedWeights, type WeightedAdapter } from './merged-weights.ts';
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
  const stored = await openShards(model.folder);
  const plans = await planFiles(model, stored);
  const sizeBytes = [...plans.values()].reduce((sum, plan) => sum + plan.fileBytes, 0);
  await checkNewTarget(out, sizeBytes, freeBytes);
  await writeFolder(out, async (temporary) => {
    await writeCompanions(model, temporary);
    for (const [file, plan] of plans) await writePlannedFile(join(temporary, file), plan, merged);
    if (!plans.has(SINGLE_FILE)) await writeIndex(model.folder, temporary, plans);
  });
  const numTensors = [...plans.values()].reduce((sum, { tensors }) => sum + tensors.length, 0);
  return { files: [...plans.keys()], numTensors, numChanged: merged.changed.size, sizeBytes };
}

/** Files of the folder by name; a head that the checkpoint does not hold joins the last one. */
async function planFiles(
  model: Model,
  stored: ReadonlyMap<string, StoredTensor>,
): Promise<Map<string, FilePlan>> {
  const names = definitionNames(model);
  const fresh = freshTensors(model);
  const files = [...new Set([...stored.values()].map(({ file }) => file))].sort();
  const plans = new Map<string, FilePlan>();
  for (const file of files) {
    const shard = await openSafetensors(join(model.folder, file));
    plans.set(file, await planFile(shard, names, fresh, file === files.at(-1)));
  }
  return plans;
}

/** Place of a tensor → the name that the model knows it by, where files and model spell names differently. */
function definitionNames({ weights, storedTypes }: Model): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const name of storedTypes.keys()) {
    const location = weights.locate(name);
    if (location.kind === 'file') names.set(placeOf(location.path, location.offsetBytes), name);
  }
  return names;
}

function freshTensors({ weights, storedTypes }: Model): ReadonlyMap<string, FloatType> {
  return new Map([...storedTypes].filter(([name]) => weights.locate(name).kind === 'memory'));
}

/** The index with the size that the tensors have, whatever the old one said. */
async function writeIndex(from: string, to: string, plans: ReadonlyMap<string, FilePlan>): Promise<void> {
  const index = (await readJson(join(from, INDEX_FILE))) as { metadata?: Record<string, unknown> };
  const placed = [...plans].flatMap(([file, { tensors }]) => tensors.map((tensor) => ({ file, ...tensor })));
  const total = placed.reduce((sum, { lengthBytes }) => sum + lengthBytes, 0);
  const weightMap = Object.fromEntries(placed.map(({ name, file }) => [name, file]).sort());
  const document = { metadata: { ...index.metadata, total_size: total }, weight_map: weightMap };
  await writeSynced(join(to, INDEX_FILE), `${JSON.stringify(document, null, 2)}\n`);
}
