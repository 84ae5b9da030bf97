/** A text file: one row with one column, `text`, that holds the whole file. The `text` schema may cut it. */

import type { BrokenRow, Row, RowReader, RowSource } from './reader.ts';
import { WRONG_ENCODING, wholeText } from './utf8.ts';

async function* read(source: RowSource): AsyncGenerator<Row | BrokenRow> {
  const text = await wholeText(source);
  if (text === undefined) yield { where: source.name, problem: WRONG_ENCODING };
  else if (text.trim() !== '') yield { where: source.name, values: { text } };
}

export const text: RowReader = { id: 'text', extensions: ['.txt', '.text', '.md'], read };
