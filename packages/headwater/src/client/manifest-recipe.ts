/**
 * The recipe of a manifest as this machine carries it out: the run's numbers, the owner's files, model and threads. What the
 * coordinator says is checked by the recipe's own schema; it names no file and no code that would be opened here.
 */

import { HeadwaterError } from '../base/errors.ts';
import { printable } from '../base/printable.ts';
import type { Manifest } from '../federation/wire/messages.ts';
import type { RunRegistries } from '../jobs/records.ts';
import { checkRecipe } from '../recipe/check.ts';
import { pathText } from '../recipe/issues.ts';
import type { Recipe } from '../recipe/schema.ts';

export interface Here {
  readonly registries: RunRegistries;
  /** The owner's own plug-ins, already in the registries. */
  readonly plugins: readonly string[];
  /** At most so many threads in a session; fewer than the run's may change the last bits. */
  readonly threads?: number | undefined;
}

/** Throws JOIN_REFUSED with every mistake. */
export function recipeOf(manifest: Manifest, { registries, plugins, threads }: Here): Recipe {
  const { adapter: _adapter, ...given } = manifest.recipe;
  const data = isMap(given.data) ? given.data : {};
  const placeholder = { files: 'the owner’s own' };
  const { folder: _folder, ...quantization } = isMap(given.quantization) ? given.quantization : {};
  const heldOut = ['validation', 'test'].filter((split) => data[split] !== undefined);
  const raw = {
    ...given,
    model: manifest.model.source,
    quantization,
    plugins: [],
    workers: 1,
    data: {
      ...data,
      train: placeholder,
      ...Object.fromEntries(heldOut.map((split) => [split, placeholder])),
    },
  };
  const { recipe, issues } = checkRecipe(raw, registries);
  if (recipe === undefined)
    throw new HeadwaterError(
      'JOIN_REFUSED',
      `the run cannot be carried out by this version of Headwater:\n${issues.map(({ path, message }) => printable(`  ${pathText(path)}: ${message}`)).join('\n')}`,
      { hint: 'Install the operator’s version, and give its plug-ins with --plugin if it uses any.' },
    );
  const { threadsPerSession, replicas } = recipe;
  const most = threads ?? Number.POSITIVE_INFINITY;
  return {
    ...recipe,
    plugins: [...plugins],
    threadsPerSession: Math.min(threadsPerSession, most),
    replicas: Math.max(1, Math.min(replicas, Math.floor(most / threadsPerSession))),
  };
}

function isMap(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
