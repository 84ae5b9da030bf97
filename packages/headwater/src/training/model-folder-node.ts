/** Whole checkpoints on disk: the base model's configuration and tokenizer with trained weights in float32. */

import { copyFile, cp, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeSynced } from '../base/durable-node.ts';
import { type Params, type Tensor, tensor } from '../base/tensor.ts';
import { readWeight } from '../models/checkpoint-node.ts';
import type { Model } from '../models/model.ts';
import { writeSafetensorsFile } from '../models/safetensors-node.ts';
import type { BoundTuning } from '../tuning/kind.ts';
import { writeFolder } from './folder-node.ts';

/** Files beside configuration and weights that make a folder loadable and lawful: tokenizer, chat templates, licence. */
const COMPANIONS =
  /^(generation_config\.json|tokenizer.*|special_tokens_map\.json|added_tokens\.json|vocab\..*|merges\.txt|chat_template\.(json|jinja)|(LICEN[CS]E|NOTICE).*)$/i;
const TEMPLATES = 'additional_chat_templates';

async function copyTextFiles(from: string, to: string): Promise<void> {
  const entries = await readdir(from, { withFileTypes: true });
  for (const entry of entries) {
    const { name } = entry;
    // A cache of the hub holds links to files.
    if (!entry.isDirectory() && COMPANIONS.test(name)) await copyFile(join(from, name), join(to, name));
    if (entry.isDirectory() && name === TEMPLATES)
      await cp(join(from, name), join(to, name), { recursive: true, dereference: true });
  }
}

/** config.json as text: the folder's own, with what a classifier's head adds to it and what `changed` says. */
async function configText(model: Model, changed: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const text = await readFile(join(model.folder, 'config.json'), 'utf8');
  const { classifier } = model.definition;
  if (classifier === undefined && Object.keys(changed).length === 0) return text;
  const config: Record<string, unknown> = JSON.parse(text);
  for (const [key, value] of Object.entries(changed)) if (key in config) config[key] = value;
  // A classifier's head may be new to the folder that it came from.
  return `${JSON.stringify({ ...config, ...classifier?.config }, null, 2)}\n`;
}

/** All of a model folder but its weights. */
export async function writeCompanions(model: Model, folder: string): Promise<void> {
  await copyTextFiles(model.folder, folder);
  await writeSynced(join(folder, 'config.json'), await configText(model));
}

/** Every checkpoint tensor with what the tuning makes of it, in float32. */
export async function wholeParams(model: Model, tuning: BoundTuning, params: Params): Promise<Params> {
  const merged = tuning.merged?.(params);
  if (merged === undefined) return tuning.adapterTensors?.(params) ?? params;
  const whole = new Map<string, Tensor<'float32'>>();
  for (const [name, { shape }] of model.storedTypes) {
    const base = await readWeight(model.weights, name);
    whole.set(name, tensor('float32', shape, merged.get(name)?.(base) ?? base));
  }
  return whole;
}

/** A Hugging Face model folder with `params` (every checkpoint tensor) as its weights, and `card` as README.md. Whole or not at all. */
export async function writeModelFolder(
  folder: string,
  model: Model,
  params: Params,
  card?: string,
): Promise<void> {
  // `dtype` since transformers 5, `torch_dtype` before.
  const config = await configText(model, { dtype: 'float32', torch_dtype: 'float32' });
  await writeFolder(folder, async (temporary) => {
    await copyTextFiles(model.folder, temporary);
    await writeSafetensorsFile(join(temporary, 'model.safetensors'), params);
    await writeSynced(join(temporary, 'config.json'), config);
    if (card !== undefined) await writeSynced(join(temporary, 'README.md'), card);
  });
}
