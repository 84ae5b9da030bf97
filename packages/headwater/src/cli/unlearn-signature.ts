/** A receipt of unlearning with an operator’s signature: by the key of a coordinator’s store, where one is named. */

import { toBase64url } from '../base/base64url.ts';
import { ed25519FromSeed, ed25519Verify } from '../base/ed25519-node.ts';
import { HeadwaterError } from '../base/errors.ts';
import { openStorage } from '../coordinator/open-storage.ts';
import { openOperatorKey } from '../coordinator/operator-key.ts';
import { type Receipt, receiptBytes, type SignedReceipt } from '../simulation/unlearning/receipt.ts';

/** Throws RUN_NOT_FOUND for a store without a key, RUN_LOCKED while a coordinator serves it. */
export async function signedReceipt(receipt: Receipt, place: string | undefined): Promise<SignedReceipt> {
  if (place === undefined) return { receipt, operatorKey: null, signature: null };
  const { store, close } = await openStorage({
    store: place,
    ...(place.includes('://') ? { blobs: '.' } : {}),
  });
  try {
    const entropy = () => {
      throw new HeadwaterError('RUN_NOT_FOUND', 'this store has no operator key', { where: place });
    };
    const signatures = { verify: ed25519Verify, signer: ed25519FromSeed };
    const key = await openOperatorKey({ store, entropy, signatures });
    const signature = await key.sign(receiptBytes(receipt));
    return { receipt, operatorKey: toBase64url(key.publicKey), signature: toBase64url(signature) };
  } finally {
    await close();
  }
}
