/** A file format: bytes → rows with their place. One file each, one line in registry.ts; opening files is another's work. */

import type { RowValues } from '../schemas/schema.ts';

export interface Row {
  readonly values: RowValues;
  /** `file.jsonl:17`. */
  readonly where: string;
}

/** A place in a file that cannot be read as a row. */
export interface BrokenRow {
  readonly problem: string;
  readonly where: string;
}

export interface RowSource {
  /** As the user wrote it, for messages. */
  readonly name: string;
  /** The file's bytes, decompressed, from the start. */
  chunks(): AsyncIterable<Uint8Array>;
}

export interface RowReader {
  readonly id: string;
  /** File name endings, without `.gz`. */
  readonly extensions: readonly string[];
  read(source: RowSource): AsyncIterable<Row | BrokenRow>;
}
