/** The first rows of an owner's file, and the columns that a recipe reads: to say which is which. */

import { HeadwaterError } from '@headwater/base/errors.ts';
import { chosenSchema } from '@headwater/data/schema-choice.ts';
import { RowProblem, type RowValues } from '@headwater/data/schemas/schema.ts';
import type { Recipe } from '@headwater/recipe/schema.ts';
import type { Rows, Seat } from '../messages.ts';
import { openFile } from './files.ts';
import { registries } from './place.ts';

const SHOWN_ROWS = 5;
const SHOWN_CHARACTERS = 300;

/** Throws DATA_INVALID, DATA_NOT_FOUND. */
export async function firstRows(recipe: Recipe, seat: Seat): Promise<Rows> {
  const file = seat.files.find(({ use }) => use === 'train');
  if (file === undefined)
    throw new HeadwaterError('DATA_NOT_FOUND', 'no file to learn from is chosen', {
      hint: 'Choose at least one.',
    });
  const { source, reader } = await openFile(seat.id, file);
  const values: RowValues[] = [];
  for await (const row of reader.read(source)) {
    if ('problem' in row) throw new HeadwaterError('DATA_INVALID', row.problem, { where: row.where });
    values.push(row.values);
    if (values.length === SHOWN_ROWS) break;
  }
  if (values.length === 0)
    throw new HeadwaterError('DATA_INVALID', 'the file holds no rows', { where: file.name });
  const columns = [...new Set(values.flatMap((row) => Object.keys(row)))];
  return {
    file: file.name,
    columns,
    rows: values.map((row) => columns.map((column) => shown(row[column]))),
    wanted: wantedColumns(recipe),
  };
}

function shown(value: unknown): string {
  const text = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}

/** What the schema asks of a row that claims to have every column. */
function wantedColumns({ data }: Recipe): string[] {
  const asked = new Set<string>();
  const row = new Proxy<Record<string, unknown>>(
    {},
    {
      get(_, column) {
        asked.add(String(column));
        return 'text';
      },
      getOwnPropertyDescriptor: (_, column) => {
        asked.add(String(column));
        return { value: 'text', configurable: true, enumerable: true };
      },
    },
  );
  const { schema, options } = chosenSchema(data.schema, registries.schemas);
  try {
    schema.toExamples(row, options);
  } catch (cause) {
    // A list was expected, or an answer among some: which columns it read is known by then.
    if (!(cause instanceof RowProblem)) throw cause;
  }
  for (const column of [data.labelColumn, data.groupColumn, data.optionsColumn])
    if (column !== undefined) asked.add(column);
  return [...asked];
}
