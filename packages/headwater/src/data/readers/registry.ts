/** The file formats, by id; `readerFor` picks one by name or by the file's ending. */

import { HeadwaterError } from '../../base/errors.ts';
import { didYouMean } from '../../base/suggest.ts';
import { csv, tsv } from './csv.ts';
import { json } from './json.ts';
import { jsonl } from './jsonl.ts';
import { parquet } from './parquet.ts';
import type { RowReader } from './reader.ts';
import { text } from './text.ts';

const readers: readonly RowReader[] = [jsonl, json, csv, tsv, parquet, text];

/** Throws DATA_INVALID for an ending (or format) that nobody reads. */
export function readerFor(fileName: string, format?: string): RowReader {
  const bare = fileName.toLowerCase().replace(/\.gz$/, '');
  const found = readers.find(({ id, extensions }) =>
    format === undefined ? extensions.some((ending) => bare.endsWith(ending)) : id === format,
  );
  if (found !== undefined) return found;
  const ids = readers.map(({ id }) => id);
  const message =
    format === undefined
      ? 'the ending does not say the format'
      : `unknown format "${format}"; ${didYouMean(format, ids)}`;
  throw new HeadwaterError('DATA_INVALID', message, {
    where: fileName,
    hint: `Set data.….format to one of: ${ids.join(', ')}.`,
  });
}
