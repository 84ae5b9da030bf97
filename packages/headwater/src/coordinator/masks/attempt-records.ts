/**
 * What was said in an attempt, in the store: written before anything follows from it, and deleted when its round is over. Another
 * process that takes the run up finds the attempt as it stood.
 */

import type { Records } from '../../storage/store.ts';
import { changeRecord, listRecords, type SecureRoundRecord } from '../records.ts';
import { type AttemptView, emptyView } from './attempt-view.ts';

export interface AttemptRecords {
  load(round: number, number: number): Promise<AttemptView>;
  /** The first that is written under a name stays. */
  save(view: AttemptView, name: string, record: SecureRoundRecord): Promise<void>;
  /** A key may be replaced while the keys are not fixed: its owner lost the one before. */
  replace(view: AttemptView, name: string, record: SecureRoundRecord): Promise<void>;
  /** Of all attempts but this one; undefined: of all. */
  removeOthers(view: AttemptView | undefined): Promise<void>;
}

/** `confirm`: throws when another process leads the run. */
export function createAttemptRecords(
  records: Records,
  run: string,
  confirm: () => Promise<void>,
): AttemptRecords {
  const prefixOf = ({ round, number }: Pick<AttemptView, 'round' | 'number'>) => `${run}/${round}.${number}/`;
  return {
    async load(round, number) {
      const view = emptyView(round, number);
      for (const { value } of await listRecords(records, 'secure-rounds', prefixOf(view))) apply(view, value);
      return view;
    },
    async save(view, name, record) {
      await changeRecord(records, 'secure-rounds', `${prefixOf(view)}${name}`, (known) =>
        known === undefined ? record : undefined,
      );
      await confirm();
    },
    async replace(view, name, record) {
      await changeRecord(records, 'secure-rounds', `${prefixOf(view)}${name}`, () => record);
      await confirm();
    },
    async removeOthers(view) {
      const kept = view && prefixOf(view);
      for (const { key } of await listRecords(records, 'secure-rounds', `${run}/`))
        if (kept === undefined || !key.startsWith(kept)) await records.delete('secure-rounds', key);
    },
  };
}

/** Into the view. */
export function apply(view: AttemptView, record: SecureRoundRecord): void {
  switch (record.kind) {
    case 'begun':
      view.begun = record;
      break;
    case 'advert':
      view.adverts.set(record.advert.owner, record.advert);
      break;
    case 'shares':
      view.shares.set(record.owner, record.shares);
      break;
    case 'present':
      view.present = record.members;
      break;
    case 'confirmed':
      view.confirmations.set(record.confirmation.owner, record.confirmation);
      break;
    case 'unmasked':
      view.unmaskings.set(record.owner, record.unmasking);
      break;
  }
}
