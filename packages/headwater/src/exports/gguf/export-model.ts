/** `headwater export-gguf`: a model, with adapters merged in or without, as one GGUF file that llama.cpp loads. */

import { basename, join } from 'node:path';
import type { RawConfig } from '../../models/config.ts';
import type { Model } from '../../models/model.ts';
import { readJson } from '../../models/shards-node.ts';
import { mergedWeights, type WeightedAdapter } from '../merged-weights.ts';
import type { FreeBytes } from '../new-target.ts';
import { factsOf } from './facts.ts';
import { GGUF_TENSOR_TYPES, type GgufMetadata, type GgufTensorType, type GgufValue } from './format.ts';
import { loadableName } from './model-name.ts';
import { ggufArchitecture } from './registry.ts';
import { modelTensors } from './tensor-plan.ts';
import { readVocabulary, tokenizerMetadata } from './tokenizer.ts';
import { writeGgufFile } from './write-file.ts';

export interface GgufExportOptions {
  readonly type: GgufTensorType;
  readonly freeBytes?: FreeBytes;
}

export interface GgufFile {
  readonly numTensors: number;
  readonly sizeBytes: number;
}

export interface GgufModelFile extends GgufFile {
  /** Positions that the file declares: fewer than the model's where llama.cpp agrees with it for fewer only. */
  readonly contextLength: number;
}

/** `general.file_type` of llama.cpp. */
export const FILE_TYPES: Readonly<Record<GgufTensorType, number>> = { f32: 0, f16: 1, q8_0: 7, bf16: 32 };

/**
 * Writes `out` whole or not at all. Throws MODEL_UNSUPPORTED where llama.cpp computes something else, ADAPTER_INVALID for
 * adapters that cannot be merged, TOKENIZER_INVALID, OPTION_INVALID (`out` exists) and STORAGE_FAILED.
 */
export async function exportModelGguf(
  model: Model,
  adapters: readonly WeightedAdapter[],
  out: string,
  options: GgufExportOptions,
): Promise<GgufModelFile> {
  const { definition } = model;
  const architecture = ggufArchitecture(definition.architecture, model.folder);
  const config = (await readJson(join(model.folder, 'config.json'))) as RawConfig;
  const facts = factsOf(definition, config, model.folder);
  const weights = mergedWeights(model, adapters);
  const own = architecture.metadata(facts);
  const vocabulary = await readVocabulary(model);
  const name = loadableName(basename(model.source), architecture.ggufId, vocabulary.table);
  const metadata: GgufMetadata = new Map([
    ...generalMetadata(architecture.ggufId, name, options.type),
    ...own.map(([key, value]): [string, GgufValue] => [`${architecture.ggufId}.${key}`, value]),
    ...tokenizerMetadata(model, vocabulary),
  ]);
  const tensors = modelTensors(model, architecture, facts, weights, options.type);
  const sizeBytes = await writeGgufFile(out, metadata, tensors, options.freeBytes);
  const contextLength = Number(new Map(own).get('context_length')?.value);
  return { numTensors: tensors.length, sizeBytes, contextLength };
}

/** Version of the block formats; readers want it in files that have blocks. */
const QUANTIZATION_VERSION = 2;

function generalMetadata(ggufId: string, name: string, type: GgufTensorType): [string, GgufValue][] {
  const blocks = GGUF_TENSOR_TYPES[type].blockValues > 1;
  return [
    ['general.architecture', { type: 'string', value: ggufId }],
    ['general.type', { type: 'string', value: 'model' }],
    ['general.name', { type: 'string', value: name }],
    ['general.file_type', { type: 'uint32', value: FILE_TYPES[type] }],
    ...(blocks
      ? ([['general.quantization_version', { type: 'uint32', value: QUANTIZATION_VERSION }]] as const)
      : []),
  ] as [string, GgufValue][];
}
