/** The helper's own key pair: made once, kept in its store. Whoever has the secret can open the seeds that were sealed for it. */

import { fromBase64url, toBase64url } from '../base/base64url.ts';
import { assert } from '../base/errors.ts';
import { KEY_BYTES, keyAgreement } from '../privacy/secure-aggregation/key-agreement.ts';
import type { Records } from '../storage/store.ts';

export interface HelperKey {
  readonly secret: Uint8Array;
  readonly publicKey: Uint8Array;
}

export async function openHelperKey(
  records: Records,
  entropy: (bytes: number) => Uint8Array,
): Promise<HelperKey> {
  await records.put('helper', 'key', { secret: toBase64url(entropy(KEY_BYTES)) }, 0);
  const kept = await records.get('helper', 'key');
  const secret = fromBase64url((kept?.value as { readonly secret: string } | undefined)?.secret ?? '');
  assert(secret?.byteLength === KEY_BYTES, 'the helper’s key has 32 bytes');
  return { secret, publicKey: await (await keyAgreement()).publicKey(secret) };
}
