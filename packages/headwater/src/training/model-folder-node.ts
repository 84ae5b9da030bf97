/** Whole checkpoints on disk: the base model's configuration and tokenizer with trained weights in float32. */

import { copyFile, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeSynced } from '../base/durable-node.ts';
import type { Params } from '../base/tensor.ts';
import type { Model } from '../models/model.ts';
import { writeSafetensorsFile } from '../models/safetensors-node.ts';
import { writeFolder } from './folder-node.ts';

/** Files beside the weights that make a folder loadable: configuration, tokenizer, chat template. */
const COPIED =
  /^(generation_config\.json|tokenizer.*|special_tokens_map\.json|added_tokens\.json|vocab\..*|merges\.txt|chat_template\.(json|jinja))$/;

/** A Hugging Face model folder with `params` (every checkpoint tensor) as its weights. Whole or not at all. */
export async function writeModelFolder(folder: string, model: Model, params: Params): Promise<void> {
  const config: Record<string, unknown> = JSON.parse(
    await readFile(join(model.folder, 'config.json'), 'utf8'),
  );
  // `dtype` since transformers 5, `torch_dtype` before.
  for (const key of ['dtype', 'torch_dtype']) if (key in config) config[key] = 'float32';
  const names = (await readdir(model.folder)).filter((name) => COPIED.test(name));
  await writeFolder(folder, async (temporary) => {
    for (const name of names) await copyFile(join(model.folder, name), join(temporary, name));
    await writeSafetensorsFile(join(temporary, 'model.safetensors'), params);
    await writeSynced(join(temporary, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);
  });
}
