/** Test helper: the smallest real run, stories260K on a few sentences of three owners, in a folder of its own. */

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { digestBytes } from '../../src/base/canonical.ts';

const MODEL = new URL('../fixtures/models/stories260K', import.meta.url).pathname;
const ANIMALS = { ann: 'cat', ben: 'dog', cid: 'bird' };

export interface SmallRun {
  readonly root: string;
  readonly recipe: string;
  out(name: string): string;
  remove(): void;
}

export function smallRun(more: Record<string, unknown> = {}): SmallRun {
  const root = mkdtempSync(join(tmpdir(), 'headwater-run-'));
  mkdirSync(join(root, 'data'));
  writeFileSync(join(root, 'data', 'train.csv'), table(6));
  writeFileSync(join(root, 'data', 'test.csv'), table(2));
  const recipe = join(root, 'recipe.yaml');
  writeFileSync(recipe, JSON.stringify({ ...baseRecipe(), ...more }));
  return {
    root,
    recipe,
    out: (name) => join(root, 'runs', name),
    remove: () => rmSync(root, { recursive: true, force: true }),
  };
}

function baseRecipe(): Record<string, unknown> {
  return {
    name: 'small',
    seed: 3,
    model: MODEL,
    data: {
      train: { files: 'data/train.csv' },
      validation: { files: 'data/test.csv' },
      test: { files: 'data/test.csv' },
      schema: { kind: 'prompt-completion', prompt: '{prompt}', completion: '{answer}', chat: false },
      ownerColumn: 'owner',
      labelColumn: 'answer',
      maxLength: 32,
    },
    tuning: { kind: 'lora', rank: 2, alpha: 4, targetModules: ['q_proj', 'v_proj'], dropout: 0.1 },
    training: { batchSize: 2, optimizer: { kind: 'adamw', learningRate: 0.01 } },
    federation: { rounds: 2, localSteps: 2 },
    evaluation: { tasks: [{ kind: 'exact-match' }], batchSize: 4 },
  };
}

/** Owners hold different numbers of sentences, so that weights matter. */
function table(size: number): string {
  const rows = Object.entries(ANIMALS).flatMap(([owner, animal], o) =>
    Array.from(
      { length: size + o },
      (_, i) => `${owner},${animal} number ${i} says:, ${animal.repeat(1 + (i % 2))}`,
    ),
  );
  return ['owner,prompt,answer', ...rows, ''].join('\n');
}

/** Digest of the adapter's tensors as they lie on disk. */
export function adapterDigest(folder: string): string {
  return digestBytes(readFileSync(join(folder, 'adapter', 'adapter_model.safetensors')));
}

export function fileIn(folder: string, name: string): string {
  return readFileSync(join(folder, name), 'utf8');
}
