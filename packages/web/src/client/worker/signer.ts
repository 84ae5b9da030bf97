/** Ed25519 keys that no script can read: made by the browser, kept in its database, used there. */

import { toBase64url } from '@headwater/base/base64url.ts';
import { HeadwaterError } from '@headwater/base/errors.ts';
import type { ClientParts } from '@headwater/client/ports.ts';
import { type Database, durably, guarded } from './database.ts';

const ID_BYTES = 16;

/** Saved form: 16 bytes that name the key, then the public key (32 bytes). */
export function keptSigner(database: Database, seat: string): ClientParts['signer'] {
  const nameOf = (saved: Uint8Array) => `${seat}/${toBase64url(saved.subarray(0, ID_BYTES))}`;
  const make = async (): Promise<Uint8Array> => {
    const pair = await newPair();
    const publicKey = new Uint8Array(await crypto.subtle.exportKey('raw', pair.publicKey));
    const saved = Uint8Array.of(...crypto.getRandomValues(new Uint8Array(ID_BYTES)), ...publicKey);
    await guarded('save the key', () =>
      durably(database, 'keys', (store) => store.put(pair.privateKey, nameOf(saved))),
    );
    return saved;
  };
  return async (given) => {
    const saved = given ?? (await make());
    const key = await guarded('read the key', () => database.get('keys', nameOf(saved)));
    if (key === undefined)
      throw new HeadwaterError('STORAGE_FAILED', 'the key of this client is gone', {
        hint: 'The browser removed it with its other data. Ask the operator for a new invitation.',
      });
    const sign = async (message: Uint8Array) =>
      new Uint8Array(await crypto.subtle.sign('Ed25519', key, message as Uint8Array<ArrayBuffer>));
    return { signer: { publicKey: saved.slice(ID_BYTES), sign }, saved };
  };
}

async function newPair(): Promise<CryptoKeyPair> {
  try {
    return (await crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify'])) as CryptoKeyPair;
  } catch (cause) {
    throw new HeadwaterError('DEVICE_UNAVAILABLE', 'this browser cannot make Ed25519 keys', {
      cause,
      hint: 'Update the browser: Chrome and Edge from version 137, Firefox from 129, Safari from 17.',
    });
  }
}
