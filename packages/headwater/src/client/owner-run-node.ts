/** A manifest and the owner's files → the recipe as it is carried out here and the owner's examples. For joining and for looking. */

import { resolve } from 'node:path';
import { HeadwaterError } from '../base/errors.ts';
import type { Manifest } from '../federation/wire/messages.ts';
import { loadOwnerParts, type OwnerData } from '../jobs/owner-data.ts';
import { registriesWith } from '../jobs/plugins-node.ts';
import type { OwnerRun } from './look.ts';
import { recipeOf } from './manifest-recipe.ts';

export interface OwnerRunOptions {
  readonly data: OwnerData;
  readonly plugins?: readonly string[];
  readonly threads?: number;
}

/** Throws JOIN_REFUSED, PLUGIN_INVALID, DATA_*, OPTION_INVALID. */
export async function openOwnerRun(
  manifest: Manifest,
  owner: string,
  { data, plugins = [], threads }: OwnerRunOptions,
): Promise<OwnerRun> {
  if (threads !== undefined && !(Number.isSafeInteger(threads) && threads > 0))
    throw new HeadwaterError('OPTION_INVALID', `threads: expected a whole number > 0, got ${threads}`);
  const files = plugins.map((file) => resolve(file));
  const registries = await registriesWith(files);
  const recipe = recipeOf(manifest, { registries, plugins: files, threads });
  const parts = await loadOwnerParts(recipe, registries, owner, data).catch((error) => {
    throw withMappingHint(error);
  });
  return { recipe, registries, parts };
}

function withMappingHint(error: unknown): unknown {
  if (!(error instanceof HeadwaterError) || !error.message.includes('there is no column')) return error;
  const { where, message } = error;
  return new HeadwaterError(error.code, message, {
    hint: 'Say which of your columns it is, for example --map question=YOUR_COLUMN (or a template: --map "question={first} {second}").',
    ...(where === undefined ? {} : { where }),
    cause: error,
  });
}
