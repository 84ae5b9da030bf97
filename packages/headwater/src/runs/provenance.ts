/** What a run was made from, kept in its first event: for reports, and to refuse a restart that would mix two runs. */

import { canonicalJson, digestJson } from '../base/canonical.ts';
import { HeadwaterError } from '../base/errors.ts';
import type { PreparedRun } from '../jobs/prepare.ts';
import type { DataFacts } from '../jobs/tokenize-parts.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { Environment } from './environment.ts';

export interface Provenance {
  readonly recipe: Recipe;
  readonly modelDigest: string;
  readonly dataDigest: string;
  readonly facts: DataFacts;
  readonly environment: Environment;
}

export function provenanceOf(prepared: PreparedRun, environment: Environment): Provenance {
  const { recipe, modelDigest, dataDigest, facts } = prepared;
  // Through JSON: what is undefined here would be absent there.
  return JSON.parse(
    canonicalJson({ recipe: withoutUndefined(recipe), modelDigest, dataDigest, facts, environment }),
  );
}

/** Throws RUN_EXISTS, naming what differs from the run in the folder. */
export function checkSameRun(kept: Provenance, prepared: PreparedRun, folder: string): void {
  const differences = [
    ...recipeDifferences(kept.recipe, prepared.recipe),
    ...(kept.modelDigest === prepared.modelDigest ? [] : ['the weights of the model']),
    ...(kept.dataDigest === prepared.dataDigest ? [] : ['the data']),
  ];
  if (differences.length === 0) return;
  throw new HeadwaterError(
    'RUN_EXISTS',
    `the run in this folder was started differently: ${differences.join(', ')}`,
    {
      where: folder,
      hint: 'Undo the change to continue it, or start a new run with --out.',
    },
  );
}

/** Keys in which two recipes ask for different runs; contents of models and data are not looked at. */
export function recipeDifferences(a: Recipe, b: Recipe): string[] {
  return differingKeys(essential(a), essential(b));
}

/** Without what does not change a bit: the number of workers, words, and places (contents have digests). */
function essential(recipe: Recipe): Record<string, unknown> {
  const {
    workers: _workers,
    description: _description,
    model: _model,
    plugins: _plugins,
    deployment: _deployment,
    adapter,
    data,
    ...rest
  } = recipe;
  const { train: _train, validation: _validation, test: _test, ...dataRest } = data;
  return { ...rest, data: dataRest, startsFromAdapter: adapter !== undefined };
}

function differingKeys(a: unknown, b: unknown, path = ''): string[] {
  if (digestOrAbsent(a) === digestOrAbsent(b)) return [];
  if (!isMap(a) || !isMap(b)) return [path];
  const keys = [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
  return keys.flatMap((key) => differingKeys(a[key], b[key], path === '' ? key : `${path}.${key}`));
}

function digestOrAbsent(value: unknown): string {
  return value === undefined ? '' : digestJson(withoutUndefined(value));
}

function withoutUndefined(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

function isMap(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}
