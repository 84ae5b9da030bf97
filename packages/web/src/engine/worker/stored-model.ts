/** A base model in the blob store: the files of a manifest, opened as a model whose weights stay where they are. */

import { HeadwaterError } from '@headwater/base/errors.ts';
import { portableHasher } from '@headwater/client/hashing.ts';
import { assembleModel, type StoredTensor, weightValues } from '@headwater/models/checkpoint.ts';
import { refuseQuantizedConfig } from '@headwater/models/foreign-quantization.ts';
import type { Model } from '@headwater/models/model.ts';
import { parseSafetensorsHeader, safetensorsHeaderBytes } from '@headwater/models/safetensors-header.ts';
import { parseWeightMap } from '@headwater/models/weight-map.ts';
import type { BlobStore } from './blob-store.ts';
import type { Reader } from './reader.ts';

/** A file of the model folder and the blob that it is. */
export interface ModelFile {
  readonly path: string;
  readonly digest: string;
  readonly bytes: number;
}

export interface StoredModelOptions {
  /** Name of the model, for messages. */
  readonly source: string;
  readonly files: readonly ModelFile[];
  /** Classes of a classification head. */
  readonly labels?: readonly string[] | undefined;
}

const INDEX = 'model.safetensors.index.json';
const SINGLE = 'model.safetensors';
const PIECE_BYTES = 4 * 2 ** 20;

/** The files must be in the store. Throws MODEL_NOT_FOUND, MODEL_UNSUPPORTED, MODEL_INVALID, SAFETENSORS_INVALID, STORAGE_FAILED. */
export async function openStoredModel(store: BlobStore, options: StoredModelOptions): Promise<Model> {
  const { source, files, labels } = options;
  const config = await storedJson(store, options, 'config.json');
  if (config === undefined) throw absent(source, 'config.json');
  refuseQuantizedConfig(config, `${source}/config.json`);
  const generationConfig = (await storedJson(store, options, 'generation_config.json')) ?? {};
  return assembleModel({
    ...{ source, folder: source, config, configPath: `${source}/config.json`, generationConfig, labels },
    tensors: await storedTensors(store, options, files),
    bytes: {
      stream: (digest, offsetBytes, lengthBytes) => pieces(store, digest, offsetBytes, lengthBytes),
      hasher: () => {
        const hash = portableHasher();
        const text = new TextEncoder();
        return {
          update: (bytes) => hash.update(typeof bytes === 'string' ? text.encode(bytes) : bytes),
          hex: () => hash.hex(),
        };
      },
    },
  });
}

/** One weight as float32. */
export function readStoredWeight(store: BlobStore, model: Pick<Model, 'weights'>, name: string) {
  return weightValues(model.weights, name, async (digest, offsetBytes, lengthBytes) => {
    const bytes = new Uint8Array(lengthBytes);
    await using(store, digest, (reader) => reader.readInto(bytes, offsetBytes));
    return bytes;
  });
}

/** A JSON file of the model; undefined where the model has none. */
export async function storedJson(
  store: BlobStore,
  { source, files }: Pick<StoredModelOptions, 'source' | 'files'>,
  path: string,
): Promise<unknown> {
  const file = files.find((candidate) => candidate.path === path);
  if (file === undefined) return undefined;
  try {
    return JSON.parse(new TextDecoder().decode(await store.read(file.digest)));
  } catch (cause) {
    if (cause instanceof HeadwaterError) throw cause;
    throw new HeadwaterError('MODEL_INVALID', 'this is no JSON', { where: `${source}/${path}`, cause });
  }
}

async function storedTensors(
  store: BlobStore,
  options: StoredModelOptions,
  files: readonly ModelFile[],
): Promise<ReadonlyMap<string, StoredTensor>> {
  const single = files.find(({ path }) => path === SINGLE);
  if (single !== undefined) return shardTensors(store, single);
  const index = await storedJson(store, options, INDEX);
  if (index === undefined) throw absent(options.source, SINGLE);
  const weightMap = parseWeightMap(index, `${options.source}/${INDEX}`);
  const all = new Map<string, StoredTensor>();
  for (const name of new Set(weightMap.values())) {
    const shard = files.find(({ path }) => path === name);
    if (shard === undefined) throw absent(options.source, name);
    for (const [tensor, entry] of await shardTensors(store, shard))
      if (weightMap.get(tensor) === name) all.set(tensor, entry);
  }
  return all;
}

/** The tensors of a safetensors blob; `path` is for messages. */
export async function shardTensors(
  store: BlobStore,
  file: Pick<ModelFile, 'path' | 'digest'>,
): Promise<Map<string, StoredTensor>> {
  return using(store, file.digest, (reader) => {
    const options = { mode: 'model', where: file.path } as const;
    const start = readFrom(reader, 0, Math.min(8, reader.sizeBytes));
    const headerBytes = safetensorsHeaderBytes(start, reader.sizeBytes, options);
    const header = parseSafetensorsHeader(readFrom(reader, 0, 8 + headerBytes), reader.sizeBytes, options);
    return new Map(
      [...header.entries].map(([name, entry]) => [name, { ...entry, path: file.digest, file: file.path }]),
    );
  });
}

async function* pieces(
  store: BlobStore,
  digest: string,
  offsetBytes: number,
  lengthBytes: number,
): AsyncGenerator<Uint8Array> {
  const reader = await store.open(digest);
  const buffer = new Uint8Array(Math.min(PIECE_BYTES, lengthBytes));
  try {
    for (let at = 0; at < lengthBytes; at += PIECE_BYTES) {
      const piece = buffer.subarray(0, Math.min(PIECE_BYTES, lengthBytes - at));
      reader.readInto(piece, offsetBytes + at);
      yield piece;
    }
  } finally {
    reader.close();
  }
}

async function using<T>(store: BlobStore, digest: string, act: (reader: Reader) => T): Promise<T> {
  const reader = await store.open(digest);
  try {
    return act(reader);
  } finally {
    reader.close();
  }
}

function readFrom(reader: Reader, offsetBytes: number, lengthBytes: number): Uint8Array {
  const bytes = new Uint8Array(lengthBytes);
  reader.readInto(bytes, offsetBytes);
  return bytes;
}

function absent(source: string, file: string): HeadwaterError {
  return new HeadwaterError('MODEL_NOT_FOUND', `the model has no ${file}`, {
    where: source,
    hint: 'Ask the operator: the coordinator must hand out the whole model to train in a browser.',
  });
}
