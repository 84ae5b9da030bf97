/**
 * A model from its configuration and a table of where its tensors lie: architecture, checks, identity. Files and folders are
 * the caller's; weights are located, never read.
 */

import { canonicalJson } from '../base/canonical.ts';
import { HeadwaterError } from '../base/errors.ts';
import { float32Values } from '../base/half.ts';
import {
  arrayFromBytes,
  type DType,
  type DTypeArrays,
  sameShape,
  type Tensor,
  tensor,
} from '../base/tensor.ts';
import type { WeightSource } from '../runtime/executor.ts';
import { refuseQuantizedTensors } from './foreign-quantization.ts';
import { freshHead } from './fresh-head.ts';
import type { Model, ModelDefinition } from './model.ts';
import { definitionOf } from './registry.ts';
import type { SafetensorsEntry } from './safetensors-header.ts';
import { specialTokenIds } from './special-token-ids.ts';

/** A tensor and the file it is in. */
export interface StoredTensor extends SafetensorsEntry {
  /** What the executor opens: absolute path of the shard with links resolved, or another name that it knows. */
  readonly path: string;
  /** Shard name inside the folder, for messages. */
  readonly file: string;
}

export interface CheckpointParts {
  readonly source: string;
  readonly folder: string;
  readonly config: unknown;
  /** For messages. */
  readonly configPath: string;
  /** `{}` where there is none. */
  readonly generationConfig: unknown;
  readonly labels: readonly string[] | undefined;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** For the model's digest. */
  readonly bytes: {
    stream(path: string, offsetBytes: number, lengthBytes: number): AsyncIterable<Uint8Array>;
    /** SHA-256. */
    hasher(): { update(bytes: Uint8Array | string): void; hex(): string };
  };
}

/** Throws MODEL_UNSUPPORTED or MODEL_INVALID. */
export function assembleModel(parts: CheckpointParts): Model {
  const { source, folder, config, configPath, labels, tensors } = parts;
  refuseQuantizedTensors(tensors.keys(), folder);
  const definition = definitionOf(config, configPath, { labels, tensorNames: new Set(tensors.keys()) });
  const fresh = freshHead(definition);
  const stored = checkedTensors(definition, tensors, fresh, folder);
  return {
    source,
    folder,
    definition,
    weights: weightSource(stored, fresh, folder),
    storedTypes: new Map(
      [...stored, ...fresh].map(([name, { dtype, shape }]) => [name, { dtype, shape }] as const),
    ),
    digest: () => digestOf(parts, stored),
    ...specialTokenIds(config, parts.generationConfig, configPath),
  };
}

type StoredWeight = StoredTensor & { readonly dtype: StoredFloat };
export type StoredFloat = 'float32' | 'float16' | 'bfloat16';
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
        { where: `${folder}/${entry.file}`, hint: 'config.json and the weights are of different models.' },
      );
    if (!isStoredWeight(entry))
      throw new HeadwaterError(
        'MODEL_UNSUPPORTED',
        `tensor "${name}" is stored as ${entry.format}; supported: F32, F16, BF16`,
        {
          where: `${folder}/${entry.file}`,
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

/** SHA-256 of the configuration and of every weight in name order: the same for any sharding of the same model. */
async function digestOf(
  { config, bytes }: CheckpointParts,
  stored: ReadonlyMap<string, StoredWeight>,
): Promise<string> {
  const types = [...stored].map(([name, { dtype, shape }]) => [name, dtype, shape]);
  const hash = bytes.hasher();
  hash.update(canonicalJson({ config, types }));
  for (const { path, offsetBytes, lengthBytes } of stored.values())
    for await (const piece of bytes.stream(path, offsetBytes, lengthBytes)) hash.update(piece);
  return hash.hex();
}

/** One weight as float32, wherever it lies. Throws MODEL_INVALID when there is none of this name. */
export async function weightValues(
  weights: WeightSource,
  name: string,
  read: (path: string, offsetBytes: number, lengthBytes: number) => Promise<Uint8Array>,
): Promise<Float32Array> {
  const location = weights.locate(name);
  if (location.kind === 'memory') return float32Values(location.tensor);
  const { dtype, shape } = location.type;
  const bytes = await read(location.path, location.offsetBytes, location.lengthBytes);
  return float32Values(tensor(dtype, shape, arrayFromBytes(dtype, bytes) as DTypeArrays[DType]));
}
