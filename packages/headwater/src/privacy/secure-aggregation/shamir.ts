/**
 * A secret in shares of which `threshold` give it back and fewer tell nothing (Shamir 1979, in GF(2⁸), by an audited package).
 * The package does not notice wrong shares: here a secret counts only when it fits what its owner committed to.
 */

import { combine, split } from 'shamir-secret-sharing';
import { assert } from '../../base/errors.ts';
import type { Bytes } from './hkdf.ts';

/** One more than the secret: the last byte is the share's place. */
export const SHARE_BYTES = 33;
/** Places in GF(2⁸) without zero. */
export const MAX_SHARES = 255;
/** Sets of shares that are tried before a secret is given up. */
const MAX_TRIES = 512;

/** Threshold from 2 to `count`, `count` at most 255. */
export async function shareSecret(secret: Uint8Array, count: number, threshold: number): Promise<Bytes[]> {
  assert(threshold >= 2 && threshold <= count && count <= MAX_SHARES, `${threshold} of ${count} shares`);
  const shares = await split(new Uint8Array(secret), count, threshold);
  return shares.map((share) => new Uint8Array(share));
}

export interface HeldShare {
  readonly holder: string;
  readonly share: Uint8Array;
}

export type Recovered =
  | {
      readonly secret: Bytes;
      /** Whose shares do not fit the secret. */
      readonly wrong: readonly string[];
    }
  | { readonly secret: undefined };

/**
 * The secret that `fits`, from any `threshold` of the shares. Wrong ones are found by trying other sets, in an order that
 * meets every share early; undefined when too few are right or 512 sets were tried.
 */
export async function recoverSecret(
  shares: readonly HeldShare[],
  threshold: number,
  fits: (secret: Bytes) => boolean | Promise<boolean>,
): Promise<Recovered> {
  const usable = distinct(shares);
  if (usable.length < threshold) return { secret: undefined };
  let tries = 0;
  for (const chosen of subsets(usable, threshold)) {
    if (++tries > MAX_TRIES) break;
    const secret = await combined(chosen);
    if (await fits(secret)) return { secret, wrong: await wrongOnes(shares, chosen, secret) };
  }
  return { secret: undefined };
}

async function combined(shares: readonly HeldShare[]): Promise<Bytes> {
  return new Uint8Array(await combine(shares.map(({ share }) => new Uint8Array(share))));
}

/** Well formed, and no two at one place. */
function distinct(shares: readonly HeldShare[]): HeldShare[] {
  const places = new Map<number, HeldShare>();
  for (const held of shares) {
    const place = held.share[SHARE_BYTES - 1];
    if (held.share.byteLength === SHARE_BYTES && place !== 0 && !places.has(place!)) places.set(place!, held);
  }
  return [...places.values()];
}

/** Every set of `size`; windows around the ring first, because they avoid a few bad shares soonest. */
function* subsets<T>(items: readonly T[], size: number): Generator<T[]> {
  for (let begin = 0; begin < items.length; begin++)
    yield Array.from({ length: size }, (_, i) => items[(begin + i) % items.length]!);
  yield* choose(items, size, 0);
}

function* choose<T>(items: readonly T[], size: number, from: number): Generator<T[]> {
  if (size === 0) yield [];
  else
    for (let i = from; i <= items.length - size; i++)
      for (const rest of choose(items, size - 1, i + 1)) yield [items[i]!, ...rest];
}

/** A share is right when it gives the secret together with all but one of those that did. */
async function wrongOnes(
  shares: readonly HeldShare[],
  right: readonly HeldShare[],
  secret: Bytes,
): Promise<string[]> {
  const wrong: string[] = [];
  for (const held of shares) {
    if (right.includes(held)) continue;
    if (!(await agrees(held, right, secret))) wrong.push(held.holder);
  }
  return wrong;
}

async function agrees(held: HeldShare, right: readonly HeldShare[], secret: Bytes): Promise<boolean> {
  const others = right.slice(1);
  const [tested] = distinct([held]);
  if (tested === undefined || distinct([...others, tested]).length < right.length) return false;
  const again = await combined([...others, tested]);
  return again.every((byte, i) => byte === secret[i]);
}
