/** Store and journal in memory, for tests and throw-away runs. They keep nothing. */

import { canonicalJson } from '../base/canonical.ts';
import { type Clock, systemClock } from '../base/clock.ts';
import type { Journal, Json } from './journal.ts';
import type { Core } from './model/core.ts';
import { journalOver } from './model/journals.ts';
import { applyChange, emptyState } from './model/state.ts';
import { storeOver } from './model/store.ts';
import type { Store } from './store.ts';

const WHERE = 'memory';

export function memoryStore(options: { readonly clock?: Clock } = {}): Store {
  return storeOver(memoryCore(options.clock ?? systemClock), async () => undefined);
}

export function memoryJournal(initial: readonly Json[] = []): Journal {
  const core = memoryCore(systemClock);
  const events = initial.map(canonicalJson);
  applyChange(core.state, { set: 'events', run: WHERE, after: 0, events }, WHERE);
  return journalOver(core, WHERE);
}

function memoryCore(clock: Clock): Core {
  const state = emptyState();
  return {
    state,
    clock,
    where: WHERE,
    async change(decide) {
      const { changes, result } = decide(state);
      for (const change of changes) applyChange(state, change, WHERE);
      return result;
    },
  };
}
