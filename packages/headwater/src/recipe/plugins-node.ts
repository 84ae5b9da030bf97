/**
 * Plug-ins: modules outside this repository that export records, loaded by `--plugin` or the recipe's `plugins:`.
 * A module exports any of `methods`, `compressions`, `robustRules`, `preAggregations`, `tuningKinds`, `tasks`, `partitioners`, `schemas`, `attacks`, each a list of records (or a
 * default export with these keys). The records join the registries; this file refuses to know what they do.
 */

import { existsSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';
import { didYouMean } from '../base/suggest.ts';
import { describeValue } from './describe.ts';
import { FAMILIES, type Family, type RecipeRecord, type Registries } from './registries.ts';

const all = Object.keys(FAMILIES) as Family[];
const families = all.filter((family) => FAMILIES[family].closedBecause === undefined);

/** The registries with the records of `files` added. Throws PLUGIN_INVALID. */
export async function withPlugins<T extends Registries>(registries: T, files: readonly string[]): Promise<T> {
  let result = registries;
  for (const file of files) result = joined(result, await importPlugin(file), file);
  return result;
}

/**
 * A plug-in lies anywhere and has no node_modules of its own: what it cannot find itself it gets from here, so that its
 * `headwater` is this very copy (one HeadwaterError, one graph IR).
 */
const LENT = new Set(['headwater', 'zod']);
let lending = false;

function lendPackages(): void {
  if (lending) return;
  lending = true;
  registerHooks({
    resolve(specifier, context, next) {
      try {
        return next(specifier, context);
      } catch (cause) {
        if (!LENT.has(specifier)) throw cause;
        return next(specifier, { ...context, parentURL: import.meta.url });
      }
    },
  });
}

async function importPlugin(file: string): Promise<Record<string, unknown>> {
  const path = resolve(file);
  if (!existsSync(path))
    throw new HeadwaterError('PLUGIN_INVALID', 'there is no such file', {
      where: file,
      hint: 'Give --plugin the path of a .ts or .js module.',
    });
  lendPackages();
  try {
    const module = (await import(pathToFileURL(path).href)) as Record<string, unknown>;
    return { ...(isMap(module.default) ? module.default : {}), ...module };
  } catch (cause) {
    throw new HeadwaterError('PLUGIN_INVALID', `the module does not load: ${(cause as Error).message}`, {
      where: file,
      hint: 'A .ts plug-in may use erasable TypeScript syntax only and must be a module (import/export).',
      cause,
    });
  }
}

function joined<T extends Registries>(registries: T, module: Record<string, unknown>, file: string): T {
  const exported = Object.keys(module).filter((key) => key !== 'default');
  refuseClosed(module, file);
  const given = families.filter((family) => module[family] !== undefined);
  if (given.length === 0) {
    const word = exported[0];
    const guess = word === undefined ? '' : `, ${didYouMean(word, families)}`;
    throw new HeadwaterError(
      'PLUGIN_INVALID',
      `expected an export of ${families.join(', ')}, got ${exported.join(', ') || 'no exports'}${guess}`,
      { where: file, hint: 'For example: export const methods = [myMethod];' },
    );
  }
  const added = Object.fromEntries(
    given.map((family) => [
      family,
      withRecords(registries[family], recordsOf(module, family, file), file, family),
    ]),
  );
  return { ...registries, ...added };
}

function refuseClosed(module: Record<string, unknown>, file: string): void {
  for (const family of all) {
    const { closedBecause } = FAMILIES[family];
    if (closedBecause !== undefined && module[family] !== undefined)
      throw new HeadwaterError('PLUGIN_INVALID', `${family} cannot come from a plug-in: ${closedBecause}`, {
        where: file,
        hint: 'Build it into Headwater: one file and a line in the registry.',
      });
  }
}

function recordsOf(module: Record<string, unknown>, family: Family, file: string): RecipeRecord[] {
  const list = module[family];
  if (!Array.isArray(list))
    throw new HeadwaterError(
      'PLUGIN_INVALID',
      `${family}: expected a list of records, got ${describeValue(list)}`,
      {
        where: file,
      },
    );
  return list.map((item: unknown, index) => checkedRecord(item, `${family}[${index}]`, file));
}

function checkedRecord(item: unknown, name: string, file: string): RecipeRecord {
  const missing = (what: string) =>
    new HeadwaterError('PLUGIN_INVALID', `${name}: ${what}`, {
      where: file,
      hint: 'A record has id, summary and options (a zod 4 schema) beside the functions of its family.',
    });
  if (!isMap(item)) throw missing(`expected a record, got ${describeValue(item)}`);
  if (typeof item.id !== 'string' || !/^[a-z0-9][a-z0-9-]*$/.test(item.id))
    throw missing(`id must be lower-case letters, digits and dashes, got ${describeValue(item.id)}`);
  if (typeof item.summary !== 'string')
    throw missing(`summary must be a string, got ${describeValue(item.summary)}`);
  if (!isSchema(item.options)) throw missing('options must be a zod 4 schema');
  return item as unknown as RecipeRecord;
}

function withRecords(
  registry: ReadonlyMap<string, RecipeRecord>,
  records: readonly RecipeRecord[],
  file: string,
  family: Family,
): ReadonlyMap<string, RecipeRecord> {
  const result = new Map(registry);
  for (const record of records) {
    if (result.has(record.id))
      throw new HeadwaterError('PLUGIN_INVALID', `${family}: the id "${record.id}" is taken`, {
        where: file,
        hint: 'Choose another id; records that come with Headwater cannot be replaced.',
      });
    result.set(record.id, record);
  }
  return result;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object';
}

/** Any zod 4 copy will do: a plug-in may bring its own, so no instanceof. */
function isSchema(value: unknown): value is z.ZodType {
  return isMap(value) && isMap(value._zod) && typeof value.safeParse === 'function';
}
