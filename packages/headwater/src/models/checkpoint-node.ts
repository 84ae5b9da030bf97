/**
 * Opens a model folder: configuration, architecture, and weights where they lie on disk. Weights are checked against
 * the definition but not loaded; the runtime maps them and `readWeight` reads one at a time.
 */

import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { canonicalJson } from '../base/canonical.ts';
import { HeadwaterError } from '../base/errors.ts';
import { firstNonFinite, float32Values } from '../base/half.ts';
import {
  arrayFromBytes,
  type DType,
  type DTypeArrays,
  sameShape,
  sizeOf,
  type Tensor,
  tensor,
} from '../base/tensor.ts';
import type { WeightSource } from '../runtime/executor.ts';
import { onlyGguf, refuseQuantizedConfig, refuseQuantizedTensors } from './foreign-quantization.ts';
import { freshHead } from './fresh-head.ts';
import { type ResolveOptions, resolveModel } from './hub-node.ts';
import type { Model, ModelDefinition } from './model.ts';
import { definitionOf, needsLabels } from './registry.ts';
import { readBytes, streamBytes } from './safetensors-node.ts';
import { openShards, readJson, type StoredTensor } from './shards-node.ts';
import { specialTokenIds } from './special-token-ids.ts';

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
  const found = await openShards(absolute);
  refuseQuantizedTensors(found.keys(), absolute);
  const definition = definitionOf(config, configPath, { labels, tensorNames: new Set(found.keys()) });
  const fresh = freshHead(definition);
  const stored = checkedTensors(definition, found, fresh, absolute);
  const model: Model = {
    source: options.source ?? folder,
    folder: absolute,
    definition,
    weights: weightSource(stored, fresh, absolute),
    storedTypes: new Map(
      [...stored, ...fresh].map(([name, { dtype, shape }]) => [name, { dtype, shape }] as const),
    ),
    digest: () => digestOf(config, stored),
    ...specialTokenIds(config, await readJsonIfThere(join(absolute, 'generation_config.json')), configPath),
  };
  const total = [...stored.values()].reduce((sum, entry) => sum + entry.lengthBytes, 0);
  if (options.checkFinite ?? total <= AUTOMATIC_CHECK_BYTES) await checkFinite(model);
  return model;
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

type StoredWeight = StoredTensor & { readonly dtype: StoredFloat };
type StoredFloat = 'float32' | 'float16' | 'bfloat16';
const STORED_FLOATS: ReadonlySet<string> = new Set(['float32', 'float16', 'bfloat16']);

function isStoredWeight(entry: StoredTensor): entry is StoredWeight {
  return entry.dtype !== undefined && STORED_FLOATS.has(entry.dtype);
}

/** The definition's tensors, sorted by name; others in the files (rotary buffers, a tied lm_head) are left aside. */
function checkedTensors(
  definition: ModelDefinition,
  found: ReadonlyMap<string, StoredTensor>,
  fresh: ReadonlyMap<string, unknown>,
  folder: string,
): Map<string, StoredWeight> {
  const result = new Map<string, StoredWeight>();
  for (const name of [...definition.parameters.keys()].filter((known) => !fresh.has(known)).sort()) {
    const shape = definition.parameters.get(name)!;
    const stored = [name, ...definition.otherNames(name)].find((candidate) => found.has(candidate));
    const entry = stored === undefined ? undefined : found.get(stored);
    if (entry === undefined) throw missingTensor(name, found, folder);
    if (!sameShape(entry.shape, shape))
      throw new HeadwaterError(
        'MODEL_INVALID',
        `tensor "${name}" is [${entry.shape}], config.json asks for [${shape}]`,
        { where: join(folder, entry.file), hint: 'config.json and the weights are of different models.' },
      );
    if (!isStoredWeight(entry))
      throw new HeadwaterError(
        'MODEL_UNSUPPORTED',
        `tensor "${name}" is stored as ${entry.format}; supported: F32, F16, BF16`,
        {
          where: join(folder, entry.file),
          hint: 'Choose the unquantised version of the model.',
        },
      );
    result.set(name, entry);
  }
  return result;
}

function missingTensor(
  name: string,
  found: ReadonlyMap<string, StoredTensor>,
  folder: string,
): HeadwaterError {
  const files = [...new Set([...found.values()].map((entry) => entry.file))];
  return new HeadwaterError(
    'MODEL_INVALID',
    `tensor "${name}" is missing (${found.size} tensors in ${files.join(', ') || 'no file'})`,
    { where: folder, hint: 'The checkpoint is incomplete or was saved without its language-model head.' },
  );
}

function weightSource(
  stored: ReadonlyMap<string, StoredWeight>,
  fresh: ReadonlyMap<string, Tensor<'float32'>>,
  folder: string,
): WeightSource {
  return {
    locate(name) {
      const made = fresh.get(name);
      if (made !== undefined) return { kind: 'memory', tensor: made };
      const entry = stored.get(name);
      if (entry === undefined)
        throw new HeadwaterError('MODEL_INVALID', `there is no tensor "${name}"`, { where: folder });
      const { path, offsetBytes, lengthBytes, dtype, shape } = entry;
      return { kind: 'file', path, offsetBytes, lengthBytes, type: { dtype, shape } };
    },
  };
}

/** One weight as float32, wherever it lies. Throws MODEL_INVALID when there is none of this name. */
export async function readWeight(weights: WeightSource, name: string): Promise<Float32Array> {
  const location = weights.locate(name);
  if (location.kind === 'memory') return float32Values(location.tensor);
  const { dtype, shape } = location.type;
  const bytes = await readBytes(location.path, location.offsetBytes, location.lengthBytes);
  return float32Values(tensor(dtype, shape, arrayFromBytes(dtype, bytes) as DTypeArrays[DType]));
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

/** SHA-256 of the configuration and of every weight in name order: the same for any sharding of the same model. */
async function digestOf(config: unknown, stored: ReadonlyMap<string, StoredWeight>): Promise<string> {
  const types = [...stored].map(([name, { dtype, shape }]) => [name, dtype, shape]);
  const hash = createHash('sha256').update(canonicalJson({ config, types }));
  for (const { path, offsetBytes, lengthBytes } of stored.values())
    for await (const bytes of streamBytes(path, offsetBytes, lengthBytes)) hash.update(bytes);
  return hash.digest('hex');
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
