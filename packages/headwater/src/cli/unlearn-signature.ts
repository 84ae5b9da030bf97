/** A receipt of unlearning with an operator’s signature: by the key of a coordinator’s store, where one is named. */

import { toBase64url } from '../base/base64url.ts';
import { openKnownStore } from '../coordinator/known-store.ts';
import { type Receipt, receiptBytes, type SignedReceipt } from '../simulation/unlearning/receipt.ts';

export type SignReceipt = (receipt: Receipt) => Promise<SignedReceipt>;

/**
 * Before the work that is signed for, which may take long: a store that is not there is told at once. Undefined: nobody signs. Throws
 * RUN_NOT_FOUND for a store without a key.
 */
export async function receiptSigner(place: string | undefined): Promise<SignReceipt> {
  if (place === undefined) return async (receipt) => ({ receipt, operatorKey: null, signature: null });
  const { key, close } = await openKnownStore(place);
  await close();
  const operatorKey = toBase64url(key.publicKey);
  return async (receipt) => ({
    receipt,
    operatorKey,
    signature: toBase64url(await key.sign(receiptBytes(receipt))),
  });
}
