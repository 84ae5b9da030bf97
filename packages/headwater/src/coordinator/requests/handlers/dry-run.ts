/** What the machine would say to an update with good bytes, before anybody sends or reads them. Changes nothing. */

import type { Receipt, UpdateReceived } from '../../../federation/events.ts';
import type { RunState } from '../../../federation/state.ts';
import { receiptFor } from '../../../federation/updates.ts';

export interface DryRun extends Receipt {
  /** It was counted before. */
  readonly known: boolean;
}

const NO_STATS = { steps: 0, numExamples: 0, numTokens: 0, numTargets: 0, meanLoss: null, lastLoss: null };

export function dryRun(
  state: RunState,
  {
    bytes,
    ...update
  }: { readonly round: number; readonly owner: string; readonly update: string; readonly bytes: number },
): DryRun {
  const event: UpdateReceived = {
    type: 'update-received',
    ...update,
    personal: null,
    upBytes: bytes,
    downBytes: 0,
    check: { ok: true, l2Norm: 0 },
    stats: NO_STATS,
  };
  const { receipt, changes } = receiptFor(state, event);
  return { ...receipt, known: receipt.accepted && !changes };
}
