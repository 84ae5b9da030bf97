/**
 * Writes a receipt of unlearning into the journal of the run that it is about, so that it is an entry of its transparency log. It
 * changes nothing else of the run, whose result stays what it was.
 */

import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';
import type { Clock } from '../../base/clock.ts';
import type { RunEvent } from '../../federation/events.ts';
import { appendEvent, eventsOf, stamped } from '../../runs/journal-events.ts';
import { openRunFolder } from '../../runs/run-folder.ts';
import { receiptBytes, type SignedReceipt } from './receipt.ts';

/** Number of the entry. The same receipt is logged once. Throws RUN_LOCKED, RUN_CORRUPT, STORAGE_FAILED. */
export async function logReceipt(folder: string, signed: SignedReceipt, clock: Clock): Promise<number> {
  const { journal, close } = await openRunFolder(folder, '');
  try {
    const event = unlearnedEvent(signed);
    const known = (await eventsOf(journal)).findIndex(
      (other) => other.type === 'unlearned' && other.receipt === event.receipt,
    );
    if (known >= 0) return known + 1;
    await appendEvent(journal, stamped(event, clock));
    return journal.lastSeq;
  } finally {
    await close();
  }
}

type Unlearned = Extract<RunEvent, { readonly type: 'unlearned' }>;

function unlearnedEvent({ receipt, operatorKey, signature }: SignedReceipt): Unlearned {
  const { owner, method, exact, before, after } = receipt;
  return {
    ...{ type: 'unlearned', owner, method, exact, before, after },
    ...{ receipt: receiptDigest(receipt), operatorKey, signature },
  };
}

/** SHA-256 of what is signed, hex. */
export function receiptDigest(receipt: SignedReceipt['receipt']): string {
  return bytesToHex(sha256(receiptBytes(receipt)));
}
