/**
 * Opens rounded weights and puts them in the place of a model's own. They are mapped by the runtime, never read here; what
 * no longer belongs to the checkpoint is refused.
 */

import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { HeadwaterError } from '../base/errors.ts';
import type { BlockFormat } from '../graph/ops/index.ts';
import type { WeightLocation } from '../runtime/executor.ts';
import type { LinearModule, Model } from './model.ts';
import { locateQuantized } from './quantize-model.ts';
import {
  QUANTIZED_ENTRY,
  QUANTIZED_WEIGHTS,
  type QuantizedEntry,
  quantizedDigest,
  quantizedEntry,
  quantizedModules,
} from './quantized-format.ts';
import { openSafetensors, streamBytes } from './safetensors-node.ts';
import { readJson } from './shards-node.ts';

/**
 * `model` with the weights of `folder`, which `writeQuantized` made from it. Throws MODEL_NOT_FOUND when there is nothing,
 * MODEL_INVALID when it is of another model, of another format, damaged, or older than the checkpoint.
 */
export async function openQuantized(model: Model, folder: string): Promise<Model> {
  const path = resolve(folder);
  const entry = await readEntry(path);
  const format: BlockFormat = { bits: entry.bits, blockSize: entry.blockSize };
  const modules = quantizedModules(model.definition, format);
  const locations = await locate(modules, path, entry, format);
  await checkSource(model, entry, path);
  return {
    ...model,
    quantized: { ...format, folder: path, modules: new Map(modules.map((m) => [m.module, m])) },
    weights: { locate: (name) => locations.get(name) ?? model.weights.locate(name) },
    digest: async () => {
      const digest = await model.digest();
      if (digest !== entry.source.digest) throw sourceChanged(path);
      await checkBytes(path, entry);
      return quantizedDigest(digest, format);
    },
  };
}

async function readEntry(folder: string): Promise<QuantizedEntry> {
  const where = join(folder, QUANTIZED_ENTRY);
  const parsed = quantizedEntry.safeParse(await readJson(where));
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0]!;
  throw invalid(where, `${path.join('.') || 'the entry'}: ${message}`);
}

async function locate(
  modules: readonly LinearModule[],
  folder: string,
  entry: QuantizedEntry,
  format: BlockFormat,
): Promise<Map<string, WeightLocation>> {
  const where = join(folder, QUANTIZED_WEIGHTS);
  if (modules.map(({ module }) => module).join() !== entry.modules.join())
    throw invalid(where, 'its modules are not those of the model');
  const file = await openSafetensors(where);
  if (file.fileBytes !== entry.weights.sizeBytes)
    throw invalid(
      where,
      `it has ${file.fileBytes} bytes, ${QUANTIZED_ENTRY} says ${entry.weights.sizeBytes}`,
    );
  const found = locateQuantized(modules, format, file.entries);
  return new Map(
    [...found].map(([name, { offsetBytes, lengthBytes, type }]) => [
      name,
      { kind: 'file', path: file.path, offsetBytes, lengthBytes, type },
    ]),
  );
}

/** Files that look as they did when they were rounded hold what they held; otherwise their content decides. */
async function checkSource(model: Model, entry: QuantizedEntry, folder: string): Promise<void> {
  if (JSON.stringify(await sourceFiles(model)) === JSON.stringify(entry.source.files)) return;
  if ((await model.digest()) !== entry.source.digest) throw sourceChanged(folder);
}

/** Name, size and time of the files that a model's digest is made of. */
export async function sourceFiles(model: Model): Promise<QuantizedEntry['source']['files']> {
  const paths = new Set([join(model.folder, 'config.json')]);
  for (const name of model.storedTypes.keys()) {
    const location = model.weights.locate(name);
    if (location.kind === 'file') paths.add(location.path);
  }
  const files = [...paths].sort().map(async (path) => {
    const { size, mtimeMs } = await stat(path);
    return { name: basename(path), sizeBytes: size, modifiedMs: mtimeMs };
  });
  return Promise.all(files);
}

async function checkBytes(folder: string, { weights }: QuantizedEntry): Promise<void> {
  const where = join(folder, QUANTIZED_WEIGHTS);
  if ((await fileDigest(where, weights.sizeBytes)) !== weights.digest)
    throw invalid(where, 'its bytes are not those that were written');
}

export async function fileDigest(path: string, sizeBytes: number): Promise<string> {
  const hash = createHash('sha256');
  for await (const bytes of streamBytes(path, 0, sizeBytes)) hash.update(bytes);
  return hash.digest('hex');
}

function sourceChanged(folder: string): HeadwaterError {
  return new HeadwaterError('MODEL_INVALID', 'the checkpoint is not the one that was quantized here', {
    where: join(folder, QUANTIZED_ENTRY),
    hint: 'Its files have changed since. Run `headwater quantize` again, or remove this folder.',
  });
}

function invalid(where: string, message: string): HeadwaterError {
  return new HeadwaterError('MODEL_INVALID', `quantized weights: ${message}`, {
    where,
    hint: 'Run `headwater quantize` again, or remove this folder.',
  });
}
