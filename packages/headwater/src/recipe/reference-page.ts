/** docs/recipe.md, made from the schema and the records, so that it cannot be out of date. Knows no single key. */

import type { z } from 'zod';
import { defOf, describeSchema, shapeOf, unwrap } from './describe.ts';
import { FAMILIES, type Family, type RecipeRecord, type Registries } from './registries.ts';

export function recipeReference(schema: z.ZodType, registries: Registries): string {
  const families = Object.keys(FAMILIES) as Family[];
  return [
    '# The recipe',
    '',
    'A recipe is a YAML file that defines a run. This page is made by `npm run docs` from the schema that checks recipes.',
    '',
    '- Paths are relative to the recipe. Unknown keys are mistakes; all mistakes are reported together, with line and column.',
    '- `--set a.b=value` overrides a key; values are YAML: `--set training.batchSize=16 --set "evaluation.tasks[0].kind=perplexity"`.',
    '- Where it says *record*, `kind` picks one of the records listed below and the other keys are its options.',
    '',
    ...keyRows(schema),
    '',
    ...families.flatMap((family) => familySection(family, registries[family])),
  ].join('\n');
}

const HEAD = ['| key | what | default | |', '|---|---|---|---|'];

/** A table of an object schema’s keys, those of inner objects as paths. */
export function keyRows(schema: z.ZodType): string[] {
  return [...HEAD, ...Object.entries(shapeOf(schema) ?? {}).flatMap(([key, value]) => rowsOf(key, value))];
}

function rowsOf(path: string, schema: z.ZodType): string[] {
  const inner = shapeOf(schema);
  const isRecord = inner !== undefined && Object.keys(inner).join() === 'kind';
  const what = isRecord ? '*record*' : inner === undefined ? describeSchema(schema) : '';
  const list = defOf(unwrap(schema)).type === 'array' && what.includes('key "kind"');
  const row = `| \`${path}\` | ${cell(list ? 'list of *records*' : what)} | ${cell(defaultOf(schema))} | ${cell(schema.description ?? '')} |`;
  const below = isRecord ? [] : Object.entries(inner ?? {});
  return [row, ...below.flatMap(([key, value]) => rowsOf(`${path}.${key}`, value))];
}

function defaultOf(schema: z.ZodType): string {
  const def = defOf(schema);
  if (def.type === 'optional') return '–';
  if (def.type === 'prefault') return '';
  if (def.type !== 'default') return shapeOf(schema) === undefined ? '**required**' : '';
  const value = def.defaultValue as unknown;
  const kind = (value as { kind?: string } | null)?.kind;
  return `\`${kind ?? (typeof value === 'string' ? value : JSON.stringify(value))}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function familySection(family: Family, registry: ReadonlyMap<string, RecipeRecord>): string[] {
  const { path, noun } = FAMILIES[family];
  const title = `## ${noun[0]?.toUpperCase()}${noun.slice(1)}s`;
  const where = path.filter((part) => part !== '*').join('.');
  const records = [...registry.values()].flatMap((record) => [
    `### \`kind: ${record.id}\``,
    '',
    `${record.summary}.`,
    '',
    ...(Object.keys(shapeOf(record.options) ?? {}).length === 0 ? ['No options.'] : keyRows(record.options)),
    '',
  ]);
  const { closedBecause } = FAMILIES[family];
  const more =
    closedBecause === undefined
      ? `A plug-in adds its own as \`${family}\`.`
      : `Plug-ins cannot add one: ${closedBecause}.`;
  return [title, '', `For \`${where}\`. ${more}`, '', ...records];
}
