/**
 * Writes a checkpoint with random weights for a configuration: benchmarks need the shapes of a model, not its knowledge.
 * Matrices N(0, 0.02²) as transformers initialises them, norms 1, biases 0.
 */

import { open, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { narrowed } from '../base/half.ts';
import { storageError } from '../base/io-errors.ts';
import { makeFolder } from '../base/make-folder-node.ts';
import { rng } from '../base/random.ts';
import { bytesOf, sizeOf, type TensorType } from '../base/tensor.ts';
import { definitionOf, needsLabels } from './registry.ts';
import { layoutSafetensors } from './safetensors.ts';

const STDDEV = 0.02;
/** So many normals are drawn and then repeated: no row of a real model has a length that divides it evenly. */
const DISTINCT = 1 << 20;

/** Does nothing when the folder already has the file. Throws MODEL_UNSUPPORTED, MODEL_INVALID, STORAGE_FAILED. */
export async function writeRandomCheckpoint(
  folder: string,
  config: Record<string, unknown>,
  seed: number,
  dtype: 'float32' | 'float16' | 'bfloat16' = 'float32',
): Promise<void> {
  const types = new Map<string, TensorType>(
    storedParameters(config, join(folder, 'config.json')).map(([name, shape]) => [name, { dtype, shape }]),
  );
  const { header, order, fileBytes } = layoutSafetensors(types);
  const file = join(folder, 'model.safetensors');
  if ((await stat(file).catch(() => undefined))?.size === fileBytes) return;
  const temporary = join(folder, `.model.${process.pid}.tmp`);
  try {
    await makeFolder(folder);
    await writeFile(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
    const handle = await open(temporary, 'w');
    try {
      await handle.writeFile(header);
      for (const values of pieces(order, types, seed))
        await handle.writeFile(bytesOf(narrowed(dtype, [values.length], values).data));
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (cause) {
    await rm(temporary, { force: true });
    throw storageError(cause, 'write random weights', folder);
  }
}

/** Those of an encoder without head are the encoder's. */
function storedParameters(config: Record<string, unknown>, where: string): [string, readonly number[]][] {
  const placeholder = needsLabels(config, where) ? { labels: ['0', '1'] } : {};
  const { parameters, classifier } = definitionOf(config, where, placeholder);
  const fresh = classifier?.freshModules ?? [];
  return [...parameters].filter(([name]) => !fresh.some((module) => name.startsWith(`${module}.`)));
}

function* pieces(
  order: readonly string[],
  types: ReadonlyMap<string, TensorType>,
  seed: number,
): Generator<Float32Array> {
  const random = rng('random-checkpoint', seed);
  const normals = Float32Array.from({ length: DISTINCT }, () => STDDEV * random.normal());
  let at = 0;
  for (const name of order) {
    const shape = types.get(name)?.shape ?? [];
    if (shape.length < 2) yield new Float32Array(sizeOf(shape)).fill(name.endsWith('.bias') ? 0 : 1);
    else
      for (let left = sizeOf(shape); left > 0; ) {
        const piece = normals.subarray(at, Math.min(at + left, DISTINCT));
        yield piece;
        left -= piece.length;
        at = (at + piece.length) % DISTINCT;
      }
  }
}
