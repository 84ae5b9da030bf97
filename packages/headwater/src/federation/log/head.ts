/**
 * A signed tree head: how many entries a log has and their root, signed by the operator in the form of a C2SP checkpoint, which
 * begins otherwise than anything else that this key signs. It decides nothing about entries.
 */

import { bytesToHex, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { fromBase64url, toBase64url } from '../../base/base64url.ts';
import type { Signer } from '../wire/signing.ts';
import type { Hash } from './merkle.ts';
import type { Head } from './proofs.ts';

/** As it travels and is kept. */
export interface SignedHead {
  readonly size: number;
  /** Lower-case hex. */
  readonly root: string;
  /** Ed25519, base64url. */
  readonly signature: string;
}

/** The signed bytes: origin, size and root, each on a line. */
export function headBytes(run: string, size: number, root: string): Uint8Array {
  return utf8ToBytes(`headwater-log/v1/${run}\n${size}\n${toBase64url(hexToBytes(root))}\n`);
}

export async function signHead(signer: Signer, run: string, { size, root }: Head): Promise<SignedHead> {
  const text = bytesToHex(root);
  return { size, root: text, signature: toBase64url(await signer.sign(headBytes(run, size, text))) };
}

type Verify = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => Promise<boolean>;

export async function isSignedHead(
  { size, root, signature }: SignedHead,
  run: string,
  operatorKey: Uint8Array,
  verify: Verify,
): Promise<boolean> {
  const signed = fromBase64url(signature);
  return signed !== undefined && (await verify(operatorKey, headBytes(run, size, root), signed));
}

export function headOf({ size, root }: Pick<SignedHead, 'size' | 'root'>): Head {
  return { size, root: hexToBytes(root) };
}

export function hashesOf(hexes: readonly string[]): Hash[] {
  return hexes.map((hex) => hexToBytes(hex));
}
