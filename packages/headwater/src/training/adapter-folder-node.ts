/** PEFT adapter folders on disk. The format itself is in `tuning/peft-adapter.ts`. */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeSynced } from '../base/durable-node.ts';
import { HeadwaterError } from '../base/errors.ts';
import { storageError } from '../base/io-errors.ts';
import type { Params } from '../base/tensor.ts';
import { readSafetensors, writeSafetensorsFile } from '../models/safetensors-node.ts';
import type { BoundTuning, ModelLayout, TuningKind } from '../tuning/kind.ts';
import {
  ADAPTER_CONFIG,
  ADAPTER_WEIGHTS,
  type Adapter,
  adapterConfigText,
  parseAdapter,
} from '../tuning/peft-adapter.ts';
import { tuningKinds } from '../tuning/registry.ts';
import { writeFolder } from './folder-node.ts';

/** Throws ADAPTER_INVALID, or SAFETENSORS_INVALID for damaged weights. */
export async function readAdapterFolder(
  folder: string,
  layout: ModelLayout,
  kinds: ReadonlyMap<string, TuningKind<unknown>> = tuningKinds,
): Promise<Adapter> {
  const config = await readConfig(folder);
  const weights = join(folder, ADAPTER_WEIGHTS);
  await checkWeights(folder);
  const { tensors } = await readSafetensors(weights, 'upload');
  try {
    return parseAdapter(config, tensors, layout, kinds);
  } catch (cause) {
    if (!(cause instanceof HeadwaterError) || cause.where !== undefined) throw cause;
    const hint = cause.hint === undefined ? {} : { hint: cause.hint };
    throw new HeadwaterError(cause.code, cause.message, { ...hint, where: folder, cause });
  }
}

async function readConfig(folder: string): Promise<unknown> {
  const path = join(folder, ADAPTER_CONFIG);
  const text = await readFile(path, 'utf8').catch((cause) => {
    throw storageError(cause, `read ${ADAPTER_CONFIG}`, folder, 'ADAPTER_INVALID');
  });
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new HeadwaterError('ADAPTER_INVALID', `no valid JSON: ${(cause as Error).message}`, {
      where: path,
      cause,
    });
  }
}

async function checkWeights(folder: string): Promise<void> {
  const names = await readdir(folder);
  if (names.includes(ADAPTER_WEIGHTS)) return;
  const onlyPickle = names.includes('adapter_model.bin');
  throw new HeadwaterError('ADAPTER_INVALID', `there is no ${ADAPTER_WEIGHTS}`, {
    where: folder,
    hint: onlyPickle
      ? 'adapter_model.bin is a Python pickle, which runs code when loaded. Save it again with safe_serialization=True.'
      : 'Give the folder that PEFT or Headwater wrote.',
  });
}

/**
 * Writes the folder whole or not at all; `baseModel` is what users load the base by (a hub id or a folder name). `card`: what
 * its README.md says; omitted: it has none.
 */
export async function writeAdapterFolder(
  folder: string,
  tuning: BoundTuning,
  params: Params,
  baseModel: string,
  card?: string,
): Promise<void> {
  const config = adapterConfigText(tuning, baseModel);
  await writeFolder(folder, async (temporary) => {
    await writeSafetensorsFile(join(temporary, ADAPTER_WEIGHTS), tuning.adapterTensors?.(params) ?? params);
    await writeSynced(join(temporary, ADAPTER_CONFIG), `${config}\n`);
    if (card !== undefined) await writeSynced(join(temporary, 'README.md'), card);
  });
}
