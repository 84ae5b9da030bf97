/** The tiny models with reference outputs of transformers, by architecture: what tests run over, and what the docs call tested. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const FIXTURES = join(import.meta.dirname, '../fixtures');

/** `model_type` → folders with a model and a reference. */
export function referenceModels(): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const group of ['huggingface', 'model-variants'])
    for (const name of readdirSync(join(FIXTURES, group)).sort()) {
      const folder = join(FIXTURES, group, name);
      const has = (file: string) => existsSync(join(folder, file));
      if (!has('config.json') || !has('model.safetensors') || !has('reference.safetensors')) continue;
      const { model_type } = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
      found.set(model_type, [...(found.get(model_type) ?? []), folder]);
    }
  return found;
}
