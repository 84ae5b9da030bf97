/**
 * Rounded base weights of a model: written once beside the checkpoint or in the cache, found there afterwards. What is in
 * the files is said in `models/quantized-format.ts`.
 */

import { type FileHandle, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder } from '../base/cache-folder-node.ts';
import { writeSynced } from '../base/durable-node.ts';
import { HeadwaterError } from '../base/errors.ts';
import type { BlockFormat } from '../graph/ops/index.ts';
import { readWeight } from '../models/checkpoint-node.ts';
import type { LinearModule, Model } from '../models/model.ts';
import { blockFormatOf, type QuantizationChoice } from '../models/quantization-choice.ts';
import { quantizedFileBytes, quantizedPieces } from '../models/quantize-model.ts';
import {
  newEntry,
  QUANTIZED_ENTRY,
  QUANTIZED_WEIGHTS,
  quantizedModules,
} from '../models/quantized-format.ts';
import { fileDigest, openQuantized, sourceFiles } from '../models/quantized-node.ts';
import { writeFolder } from './folder-node.ts';

/** Modules done and in all. */
export type OnQuantized = (done: number, total: number) => void;

/**
 * `model` as the choice says: with the rounded weights beside the checkpoint, else those of the cache, which are made when
 * they are not there. Throws MODEL_INVALID when those beside it are of another checkpoint, STORAGE_FAILED.
 */
export async function quantizedModel(
  stored: Model,
  choice: QuantizationChoice,
  onProgress?: OnQuantized,
): Promise<Model> {
  const format = blockFormatOf(choice);
  if (format === undefined || stored.quantized !== undefined) return stored;
  const model = { ...stored, digest: once(stored.digest) };
  const beside = choice.folder ?? besideFolder(model, format);
  if (choice.folder !== undefined || (await exists(beside)))
    return inFormat(await openQuantized(model, beside), format);
  const digest = await model.digest();
  const cached = join(await cacheFolder(), 'quantized', `${digest.slice(0, 32)}-${formatName(format)}`);
  if (!(await exists(cached))) await writeQuantized(model, format, cached, onProgress);
  return openQuantized(model, cached);
}

function inFormat(model: Model, { bits, blockSize }: BlockFormat): Model {
  const found = model.quantized!;
  if (found.bits === bits && found.blockSize === blockSize) return model;
  throw new HeadwaterError(
    'MODEL_INVALID',
    `the weights are ${formatName(found)}, the recipe asks for ${formatName({ bits, blockSize })}`,
    {
      where: found.folder,
      hint: 'Change quantization.kind and blockSize, or run `headwater quantize` again.',
    },
  );
}

/** Gigabytes are hashed for it. */
function once(compute: () => Promise<string>): () => Promise<string> {
  let result: Promise<string> | undefined;
  return () => {
    result ??= compute();
    return result;
  };
}

/** Where `headwater quantize` writes unless told otherwise. */
export function besideFolder(model: Pick<Model, 'folder'>, format: BlockFormat): string {
  return join(model.folder, `quantized-${formatName(format)}`);
}

const formatName = ({ bits, blockSize }: BlockFormat) => `int${bits}-${blockSize}`;

async function exists(folder: string): Promise<boolean> {
  return (await stat(join(folder, QUANTIZED_ENTRY)).catch(() => undefined)) !== undefined;
}

/** Rounds the model's linear modules into `folder`, whole or not at all. Throws STORAGE_FAILED. */
export async function writeQuantized(
  model: Model,
  format: BlockFormat,
  folder: string,
  onProgress?: OnQuantized,
): Promise<void> {
  const modules = quantizedModules(model.definition, format);
  const source = { digest: await model.digest(), files: await sourceFiles(model) };
  await writeFolder(folder, async (temporary) => {
    const file = join(temporary, QUANTIZED_WEIGHTS);
    const sizeBytes = await writeWeights(model, modules, format, file, onProgress);
    const weights = { sizeBytes, digest: await fileDigest(file, sizeBytes) };
    const names = modules.map(({ module }) => module);
    const { bits, blockSize } = format as { bits: 4 | 8; blockSize: 32 | 64 };
    const entry = newEntry({ bits, blockSize, modules: names, source, weights });
    await writeSynced(join(temporary, QUANTIZED_ENTRY), `${JSON.stringify(entry, null, 2)}\n`);
  });
}

async function writeWeights(
  model: Model,
  modules: readonly LinearModule[],
  format: BlockFormat,
  path: string,
  onProgress: OnQuantized | undefined,
): Promise<number> {
  const file = await open(path, 'wx');
  try {
    const pieces = quantizedPieces(modules, format, (name) => readWeight(model.weights, name));
    let before = 0;
    for await (const { offsetBytes, bytes, done } of pieces) {
      await writeAt(file, bytes, offsetBytes);
      if (done > before) onProgress?.(done, modules.length);
      before = done;
    }
    await file.sync();
  } finally {
    await file.close();
  }
  return quantizedFileBytes(modules, format);
}

async function writeAt(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesWritten } = await file.write(bytes, done, bytes.byteLength - done, position + done);
    done += bytesWritten;
  }
}
