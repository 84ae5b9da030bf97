/** A LoRA adapter as a GGUF file of its own, which llama.cpp puts on the GGUF file of the base model (`--lora`). */

import { basename, join } from 'node:path';
import { HeadwaterError } from '../../base/errors.ts';
import type { RawConfig } from '../../models/config.ts';
import type { Model } from '../../models/model.ts';
import { readJson } from '../../models/shards-node.ts';
import type { LowRankUpdate } from '../../tuning/kind.ts';
import type { WeightedAdapter } from '../merged-weights.ts';
import type { GgufArchitecture, GgufFacts } from './architecture.ts';
import { FILE_TYPES, type GgufExportOptions, type GgufFile } from './export-model.ts';
import { factsOf } from './facts.ts';
import type { GgufMetadata, GgufTensorType } from './format.ts';
import { ggufArchitecture } from './registry.ts';
import { arranged, ruleFor, storageType } from './tensor-plan.ts';
import { type GgufTensorSource, writeGgufFile } from './write-file.ts';

/** Throws ADAPTER_INVALID for adapters that are not low-rank updates, else as `exportModelGguf`. */
export async function exportAdapterGguf(
  model: Model,
  adapter: WeightedAdapter,
  out: string,
  options: GgufExportOptions,
): Promise<GgufFile> {
  const { tuning, params, source } = adapter;
  const updates = tuning.lowRank?.(params);
  if (updates === undefined)
    throw new HeadwaterError(
      'ADAPTER_INVALID',
      `an adapter of kind "${tuning.kind}" is no set of low-rank updates, and llama.cpp loads nothing else`,
      { where: source, hint: 'Leave --adapter-only away: the adapter is then merged into the model.' },
    );
  const architecture = ggufArchitecture(model.definition.architecture, model.folder);
  const config = (await readJson(join(model.folder, 'config.json'))) as RawConfig;
  const facts = factsOf(model.definition, config, model.folder);
  const alpha = alphaOf(updates);
  const metadata: GgufMetadata = new Map([
    ['general.architecture', { type: 'string', value: architecture.ggufId }],
    ['general.type', { type: 'string', value: 'adapter' }],
    ['general.name', { type: 'string', value: basename(source) }],
    ['general.file_type', { type: 'uint32', value: FILE_TYPES[options.type] }],
    ['adapter.type', { type: 'string', value: 'lora' }],
    ['adapter.lora.alpha', { type: 'float32', value: alpha }],
  ]);
  const tensors = updates.flatMap((update) =>
    updateTensors(update, adapter.weight / alpha, architecture, facts, options.type),
  );
  const sizeBytes = await writeGgufFile(out, metadata, tensors, options.freeBytes);
  return { numTensors: tensors.length, sizeBytes };
}

/** The file has one alpha, scale = alpha / rank: that of the first module. What differs from it goes into B. */
function alphaOf([first]: readonly LowRankUpdate[]): number {
  return first === undefined ? 1 : first.scale * (first.a.shape[0] as number);
}

function updateTensors(
  { module, a, b, scale }: LowRankUpdate,
  weightPerAlpha: number,
  architecture: GgufArchitecture,
  facts: GgufFacts,
  type: GgufTensorType,
): GgufTensorSource[] {
  const { rule, to } = ruleFor(architecture, module, facts);
  const ratio = scale * (a.shape[0] as number) * weightPerAlpha;
  const scaled = Math.abs(ratio - 1) < 1e-12 ? b.data : b.data.map((value) => value * ratio);
  return [
    {
      name: `${to}.weight.lora_a`,
      shape: a.shape,
      type: storageType(type, a.shape),
      read: async () => a.data,
    },
    {
      name: `${to}.weight.lora_b`,
      shape: b.shape,
      type: storageType(type, b.shape),
      read: async () => arranged(scaled, b.shape, rule, facts),
    },
  ];
}
