/** What everything in a round whose owners open the masks together stands on, and the writing that all of it shares. */

import type { Timers } from '../../base/clock.ts';
import type { RunEvent } from '../../federation/events.ts';
import type { OpenRound, RunState } from '../../federation/state.ts';
import type { Verify } from '../../privacy/secure-aggregation/secagg-plus/session.ts';
import type { Members } from '../members.ts';
import type { Log, MaskFacts } from '../ports.ts';
import type { SecureRoundRecord } from '../records.ts';
import { type AttemptRecords, apply } from './attempt-records.ts';
import type { AttemptView } from './attempt-view.ts';

export interface SecureRoundsParts {
  readonly run: string;
  readonly records: AttemptRecords;
  readonly state: () => RunState | undefined;
  readonly submit: (event: RunEvent) => Promise<unknown>;
  readonly members: Pick<Members, 'clientOf'>;
  readonly maskFacts: (round: number) => Promise<MaskFacts>;
  /** The operator's signature. */
  readonly sign: (message: Uint8Array) => Promise<Uint8Array>;
  readonly verify: Verify;
  readonly wake: (owner: string) => void;
  readonly timers: Timers;
  readonly log: Log;
}

export function wakeAll({ wake }: Pick<SecureRoundsParts, 'wake'>, owners: readonly string[]): void {
  for (const owner of owners) wake(owner);
}

/** Into the store, then into the view. */
export async function write(
  { records }: Pick<SecureRoundsParts, 'records'>,
  known: AttemptView,
  name: string,
  record: SecureRoundRecord,
): Promise<void> {
  await records.save(known, name, record);
  apply(known, record);
}

/** These owners take no part in the round any more. Whether there were any. */
export async function lose(
  { submit, wake }: Pick<SecureRoundsParts, 'submit' | 'wake'>,
  { round }: Pick<OpenRound, 'round'>,
  owners: readonly string[],
  reason: string,
): Promise<boolean> {
  for (const owner of owners) {
    await submit({ type: 'client-failed', round, owner, reason });
    wake(owner);
  }
  return owners.length > 0;
}
