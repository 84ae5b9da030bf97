/** Data files on disk → examples: opens, decompresses `.gz`, picks format and schema by name. */

import { createReadStream } from 'node:fs';
import { resolve } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { HeadwaterError } from '../base/errors.ts';
import { storageError } from '../base/io-errors.ts';
import type { DatasetColumns } from './dataset.ts';
import type { RowSource } from './readers/reader.ts';
import { readerFor } from './readers/registry.ts';
import { readChosen, type SchemaChoice } from './schema-choice.ts';
import { schemas } from './schemas/registry.ts';
import type { DataSchema } from './schemas/schema.ts';
import type { Example } from './types.ts';

/** The recipe's `data.train` and its likes. */
export interface DataFiles {
  readonly files: string | readonly string[];
  readonly format?: string | undefined;
}

/**
 * All examples of the files, in file order. Relative paths start at `baseFolder`.
 * Throws DATA_NOT_FOUND (no such file, no permission), DATA_INVALID (content), OPTION_INVALID (schema).
 */
export async function loadDataset(
  { files, format }: DataFiles,
  schema: SchemaChoice,
  columns: DatasetColumns,
  baseFolder: string,
  registry: ReadonlyMap<string, DataSchema<unknown>> = schemas,
): Promise<Example[]> {
  const names = typeof files === 'string' ? [files] : files;
  const opened = names.map((name) => ({
    source: fileSource(name, resolve(baseFolder, name)),
    reader: readerFor(name, format),
  }));
  return await readChosen(opened, schema, columns, registry);
}

export function fileSource(name: string, path: string): RowSource {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    const file = createReadStream(path);
    try {
      yield* path.toLowerCase().endsWith('.gz') ? unzipped(file) : file;
    } catch (cause) {
      throw readError(cause, name);
    }
  }
  return { name, chunks };
}

/** Both ends are awaited: a read error and a cut archive reach the reader as errors, not as an early end. */
async function* unzipped(file: ReturnType<typeof createReadStream>): AsyncGenerator<Uint8Array> {
  const gunzip = createGunzip();
  const done = pipeline(file, gunzip);
  done.catch(() => undefined);
  yield* gunzip;
  await done;
}

function readError(cause: unknown, name: string): HeadwaterError {
  const code = (cause as { code?: unknown }).code;
  if (typeof code === 'string' && code.startsWith('Z_')) {
    return new HeadwaterError('DATA_INVALID', 'the gzip archive is cut or damaged', {
      where: name,
      cause,
      hint: 'Copy or download the file again.',
    });
  }
  return storageError(cause, 'read the data file', name, 'DATA_NOT_FOUND');
}
