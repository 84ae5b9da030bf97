/** Parquet, by `hyparquet`: random access over the whole file in memory, all codecs of the format. */

import { messageOf } from '../../base/errors.ts';
import type { RowValues } from '../schemas/schema.ts';
import type { BrokenRow, Row, RowReader, RowSource } from './reader.ts';
import { wholeBytes } from './utf8.ts';

async function* read(source: RowSource): AsyncGenerator<Row | BrokenRow> {
  const bytes = await wholeBytes(source);
  if (bytes.length === 0) return;
  // Half a megabyte of decompressors, for whoever has such a file.
  const [{ parquetReadObjects }, { compressors }] = await Promise.all([
    import('hyparquet'),
    import('hyparquet-compressors'),
  ]);
  let rows: readonly Record<string, unknown>[];
  try {
    rows = await parquetReadObjects({ file: new Uint8Array(bytes).buffer, compressors });
  } catch (cause) {
    const reason = messageOf(cause);
    return yield { where: source.name, problem: `this is no readable Parquet file: ${reason}` };
  }
  for (const [index, row] of rows.entries()) {
    yield { where: `${source.name} row ${index + 1}`, values: plain(row) as RowValues };
  }
}

/** 64-bit integers as numbers where they are exact; dates as ISO text. */
function plain(value: unknown): unknown {
  if (typeof value === 'bigint')
    return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== 'object' || ArrayBuffer.isView(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

export const parquet: RowReader = { id: 'parquet', extensions: ['.parquet'], read };
