/** The journal of a run folder: a SQLite file with one run in it, checked from its first entry on when it is opened. */

import type { Journal } from './journal.ts';
import { openDatabase } from './sqlite/database.ts';
import { guarded } from './sqlite/failures.ts';
import { journalOver, makeJournal, readEntries } from './sqlite/journals.ts';
import { ONLY_RUN } from './sqlite/schema.ts';

/** Opens or creates the file. Throws RUN_CORRUPT when it is something else, STORAGE_FAILED when it cannot be opened. */
export function openSqliteJournal(path: string, options: { readonly readOnly?: boolean } = {}): Journal {
  const database = openDatabase(path, options);
  try {
    if (options.readOnly !== true)
      database.writeNow('open the journal', () => makeJournal(database, ONLY_RUN));
    guarded('read the journal', path, () => readEntries(database, ONLY_RUN, 0));
    const journal = journalOver(database, ONLY_RUN);
    return Object.assign(journal, { close: async () => database.close() });
  } catch (error) {
    database.close();
    throw error;
  }
}
