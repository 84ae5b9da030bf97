/** `--adapter FOLDER[=weight]`, as often as wanted: texts become adapters that fit a model. */

import { existsSync } from 'node:fs';
import { Option } from 'commander';
import { HeadwaterError } from '../base/errors.ts';
import type { WeightedAdapter } from '../exports/merged-weights.ts';
import type { Model } from '../models/model.ts';
import { readAdapterFolder } from '../training/adapter-folder-node.ts';
import type { TuningKind } from '../tuning/kind.ts';
import { collect } from './options.ts';

export function weightedAdapterOption(description: string): Option {
  return new Option('--adapter <folder[=weight]>', description).argParser(collect);
}

/** Throws what reading an adapter throws, OPTION_INVALID for a weight that is no number. */
export async function readWeightedAdapters(
  texts: readonly string[],
  model: Model,
  kinds?: ReadonlyMap<string, TuningKind<unknown>>,
): Promise<WeightedAdapter[]> {
  const adapters: WeightedAdapter[] = [];
  for (const text of texts) {
    const { folder, weight } = folderAndWeight(text);
    const { tuning, params } = await readAdapterFolder(folder, model.definition, kinds);
    adapters.push({ source: folder, tuning, params, weight });
  }
  return adapters;
}

/** A folder whose own name has an equals sign is found first. */
function folderAndWeight(text: string): { readonly folder: string; readonly weight: number } {
  const at = text.lastIndexOf('=');
  if (at < 0 || existsSync(text)) return { folder: text, weight: 1 };
  const [folder, number] = [text.slice(0, at), text.slice(at + 1)];
  const weight = Number(number);
  if (number.trim() !== '' && Number.isFinite(weight)) return { folder, weight };
  throw new HeadwaterError('OPTION_INVALID', `the weight "${number}" of the adapter is no number`, {
    where: text,
    hint: 'Write --adapter FOLDER or --adapter FOLDER=0.5.',
  });
}
