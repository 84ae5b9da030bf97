/** A Store made of the modelled parts. */

import type { Store } from '../store.ts';
import { localWakeups } from '../wakeups.ts';
import type { Core } from './core.ts';
import { journalsOver } from './journals.ts';
import { leasesOver } from './leases.ts';
import { recordsOver } from './records.ts';
import { tasksOver } from './tasks.ts';

export function storeOver(core: Core, close: () => Promise<void>): Store {
  return {
    journals: journalsOver(core),
    records: recordsOver(core),
    leases: leasesOver(core),
    tasks: tasksOver(core),
    wakeups: localWakeups(),
    close,
  };
}
