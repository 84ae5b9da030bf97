/**
 * Opens a model folder: configuration, architecture, and weights where they lie on disk. Weights are checked against
 * the definition but not loaded; the runtime maps them and `readWeight` reads one at a time.
 */

import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { HeadwaterError } from '../base/errors.ts';
import { firstNonFinite } from '../base/half.ts';
import { arrayFromBytes, type DTypeArrays, sizeOf, tensor } from '../base/tensor.ts';
import type { WeightSource } from '../runtime/executor.ts';
import { assembleModel, type StoredFloat, weightValues } from './checkpoint.ts';
import { onlyGguf, refuseQuantizedConfig } from './foreign-quantization.ts';
import { type ResolveOptions, resolveModel } from './hub-node.ts';
import type { Model } from './model.ts';
import { needsLabels } from './registry.ts';
import { readBytes, streamBytes } from './safetensors-node.ts';
import { openShards, readJson } from './shards-node.ts';

export interface OpenCheckpointOptions {
  /** The source as the user wrote it; the folder when omitted. */
  readonly source?: string;
  /**
   * Look for NaN and Inf in every weight. Default: when the weights have at most 512 MB (well under a second). Workers
   * that open a model which was checked before pass false.
   */
  readonly checkFinite?: boolean;
  /** Classes of a classification head; a function is asked only where an encoder has none of its own. */
  readonly labels?: GivenLabels | undefined;
}

type Labels = readonly string[];
export type GivenLabels = Labels | (() => Promise<Labels | undefined>);

async function givenLabels(
  config: unknown,
  where: string,
  labels: GivenLabels | undefined,
): Promise<Labels | undefined> {
  if (typeof labels !== 'function') return labels;
  return needsLabels(config, where) ? labels() : undefined;
}

const AUTOMATIC_CHECK_BYTES = 512e6;

/** Throws MODEL_NOT_FOUND, MODEL_UNSUPPORTED, MODEL_INVALID or SAFETENSORS_INVALID. */
export async function openCheckpoint(folder: string, options: OpenCheckpointOptions = {}): Promise<Model> {
  const absolute = resolve(folder);
  await checkFolder(absolute);
  const configPath = join(absolute, 'config.json');
  const config = await readConfig(absolute);
  refuseQuantizedConfig(config, configPath);
  const labels = await givenLabels(config, configPath, options.labels);
  const generationConfig = await readJsonIfThere(join(absolute, 'generation_config.json'));
  const model = assembleModel({
    ...{ source: options.source ?? folder, folder: absolute, config, configPath, generationConfig, labels },
    tensors: await openShards(absolute),
    bytes: { stream: streamBytes, hasher: nodeHasher },
  });
  if (options.checkFinite ?? weightBytes(model) <= AUTOMATIC_CHECK_BYTES) await checkFinite(model);
  return model;
}

function weightBytes({ weights, storedTypes }: Model): number {
  const locations = [...storedTypes.keys()].map((name) => weights.locate(name));
  return locations.reduce((sum, at) => sum + (at.kind === 'file' ? at.lengthBytes : 0), 0);
}

function nodeHasher() {
  const hash = createHash('sha256');
  return { update: (bytes: Uint8Array | string) => void hash.update(bytes), hex: () => hash.digest('hex') };
}

/** config.json; a folder that only llama.cpp could read is named as such. */
async function readConfig(folder: string): Promise<unknown> {
  try {
    return await readJson(join(folder, 'config.json'));
  } catch (cause) {
    const gguf = (await readdir(folder)).filter((name) => name.endsWith('.gguf'));
    throw gguf.length > 0 ? onlyGguf(folder, gguf) : cause;
  }
}

async function checkFolder(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined);
  if (found?.isDirectory()) return;
  if (found?.isFile() && folder.endsWith('.gguf')) throw onlyGguf(dirname(folder), [basename(folder)]);
  throw new HeadwaterError(
    'MODEL_NOT_FOUND',
    found ? 'this is a file, not a model folder' : 'no such folder',
    {
      where: folder,
      hint: 'Give a folder with config.json and *.safetensors, or a hub id such as HuggingFaceTB/SmolLM2-135M.',
    },
  );
}

/** One weight as float32, wherever it lies. Throws MODEL_INVALID when there is none of this name. */
export function readWeight(weights: WeightSource, name: string): Promise<Float32Array> {
  return weightValues(weights, name, readBytes);
}

/** Streams every weight and throws MODEL_INVALID at the first NaN or infinity. */
export async function checkFinite(model: Model): Promise<void> {
  for (const [name, { dtype }] of model.storedTypes) {
    const location = model.weights.locate(name);
    if (location.kind !== 'file') continue;
    let done = 0;
    for await (const bytes of streamBytes(location.path, location.offsetBytes, location.lengthBytes)) {
      const piece = arrayFromBytes(dtype, bytes) as DTypeArrays[StoredFloat];
      const at = firstNonFinite(tensor(dtype, [piece.length], piece));
      if (at >= 0)
        throw new HeadwaterError(
          'MODEL_INVALID',
          `tensor "${name}" of the model has NaN or infinity at element ${done + at} of ${sizeOf(location.type.shape)}`,
          {
            where: location.path,
            hint: 'The base model is broken; no training can repair it. Get another copy.',
          },
        );
      done += piece.length;
    }
  }
}

async function readJsonIfThere(path: string): Promise<unknown> {
  try {
    return await readJson(path);
  } catch (error) {
    if (error instanceof HeadwaterError && error.code === 'MODEL_NOT_FOUND') return {};
    throw error;
  }
}

/**
 * Opens a local folder or a hub repository (`owner/name[@revision]`), downloading what is not in the cache. Throws what
 * `resolveModel` and `openCheckpoint` throw.
 */
export async function openModel(
  source: string,
  options: ResolveOptions & Pick<OpenCheckpointOptions, 'checkFinite' | 'labels'> = {},
): Promise<Model> {
  const { checkFinite: check, labels, ...resolving } = options;
  const folder = await resolveModel(source, resolving);
  return openCheckpoint(folder, { source, labels, ...(check === undefined ? {} : { checkFinite: check }) });
}
