/**
 * From a trained update to its receipt. The update lies in the memory before the first byte is sent, and what is sent after
 * a crash are the same bytes; the receipt alone decides what becomes of it.
 */

import { printable } from '../base/printable.ts';
import type { WireReceipt } from '../federation/wire/messages.ts';
import { notAsAgreed, refusalCode } from './failures.ts';
import type { LogWatch } from './log-watch.ts';
import type { Memory, Pending } from './memory.ts';
import { ask, type Session } from './session.ts';
import { upload } from './upload.ts';

/** Uploads that were given up by the coordinator in between are begun again so often. */
const MAX_UPLOADS = 5;

/** `again`: it may have been received before this process began; then no byte needs to be sent twice. */
export async function deliver(
  session: Session,
  memory: Memory,
  baseModel: string,
  pending: Pending,
  again: boolean,
  watch: LogWatch,
): Promise<void> {
  const early = again ? await submitted(session, pending, baseModel) : undefined;
  const receipt = early ?? (await uploadedAndSubmitted(session, pending, baseModel));
  if (receipt.round !== pending.round || receipt.update !== pending.digest)
    throw notAsAgreed(`a receipt for round ${receipt.round} instead of ${pending.round}`);
  // A receipt is a promise: until its entry was seen in the log it is remembered.
  if (receipt.accepted) await watch.accepted(pending.round, pending.digest);
  await memory.received(receipt.accepted);
  const { round, accepted, reason } = receipt;
  session.parts.onEvent({
    type: 'receipt',
    round,
    accepted,
    reason: reason === null ? null : printable(reason),
  });
  await watch.proveUpdates();
}

type Answer = Pick<WireReceipt, 'round' | 'update' | 'accepted' | 'reason'>;

async function uploadedAndSubmitted(session: Session, pending: Pending, baseModel: string): Promise<Answer> {
  const { digest, update, taskId, round } = pending;
  let refusal = '';
  for (let attempt = 1; attempt <= MAX_UPLOADS; attempt++) {
    try {
      await upload(session, { digest, bytes: update, taskId });
    } catch (failure) {
      const code = updateRefusal(failure);
      if (code === undefined) throw failure;
      refusal = (failure as Error).message;
      if (code === 'upload-unknown' || code === 'upload-invalid') continue;
    }
    // Also after a refused upload: the update may have been received, and its receipt be lost.
    const receipt = await submitted(session, pending, baseModel);
    if (receipt !== undefined) return receipt;
    if (refusal !== '') break;
  }
  return {
    round,
    update: digest,
    accepted: false,
    reason: refusal || 'the coordinator does not keep the upload',
  };
}

/** Undefined: the coordinator does not have its bytes. */
async function submitted(
  session: Session,
  { round, base, digest, update, stats, masked }: Pending,
  baseModel: string,
): Promise<Answer | undefined> {
  const body = { round, base, baseModel, update: { digest, bytes: update.byteLength }, stats };
  const whole = masked === undefined ? body : { ...body, masked };
  try {
    return await ask(session, 'submitUpdate', { body: whole });
  } catch (failure) {
    if (updateRefusal(failure) === undefined) throw failure;
    return undefined;
  }
}

/** Of refusals that are about this update only; undefined for others (revoked, unreachable, stopped). */
function updateRefusal(failure: unknown): string | undefined {
  const code = refusalCode(failure);
  return code === 'unauthenticated' || code === 'revoked' || code === 'clock-skew' ? undefined : code;
}
