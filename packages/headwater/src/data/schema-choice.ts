/** Files as the schema reads them that a recipe chooses by name. Opens no files. */

import { HeadwaterError } from '../base/errors.ts';
import { didYouMean } from '../base/suggest.ts';
import { type DataFile, type DatasetColumns, readExamples } from './dataset.ts';
import type { DataSchema } from './schemas/schema.ts';
import type { Example } from './types.ts';

/** The recipe's `data.schema`: `{ kind: 'alpaca', …options }`. */
export interface SchemaChoice {
  readonly kind: string;
  readonly [option: string]: unknown;
}

/** All examples of the files, in file order. Throws DATA_INVALID (content), OPTION_INVALID (schema). */
export async function readChosen(
  files: readonly DataFile[],
  choice: SchemaChoice,
  columns: DatasetColumns,
  registry: ReadonlyMap<string, DataSchema<unknown>>,
): Promise<Example[]> {
  const { schema, options } = chosenSchema(choice, registry);
  return readExamples(files, schema, options, columns);
}

/** Throws OPTION_INVALID. */
export function chosenSchema(
  { kind, ...raw }: SchemaChoice,
  registry: ReadonlyMap<string, DataSchema<unknown>>,
): { readonly schema: DataSchema<unknown>; readonly options: unknown } {
  const schema = schemaOf(kind, registry);
  return { schema, options: parseOptions(schema, raw) };
}

function schemaOf(kind: string, registry: ReadonlyMap<string, DataSchema<unknown>>): DataSchema<unknown> {
  const schema = registry.get(kind);
  if (schema !== undefined) return schema;
  throw new HeadwaterError(
    'OPTION_INVALID',
    `unknown data schema "${kind}"; ${didYouMean(kind, [...registry.keys()])}`,
  );
}

function parseOptions<O>(schema: DataSchema<O>, raw: unknown): O {
  const result = schema.options.safeParse(raw);
  if (result.success) return result.data;
  const issues = result.error.issues.map(({ path, message }) => [...path, message].join(': '));
  throw new HeadwaterError('OPTION_INVALID', `data schema "${schema.id}": ${issues.join('; ')}`);
}
