/**
 * From the members' shares to the masks that did not cancel: secrets are put together and compared with what was committed to. All
 * of them or none: without one secret there is no sum.
 */

import { fromBase64url, toBase64url } from '../../../base/base64url.ts';
import type { Bytes } from '../hkdf.ts';
import { keyAgreement } from '../key-agreement.ts';
import type { MaskTerm } from '../mask-stream.ts';
import { type HeldShare, recoverSecret } from '../shamir.ts';
import { type SealedShares, type SurvivorSets, seedCommitment, type Unmasking } from './messages.ts';
import { intersection, pairKey, pairSign, type Session } from './session.ts';

/** A mask that is still in the sum of the survivors' vectors. */
export interface Mask extends MaskTerm {
  /** Whose it is; its group has it in its sum. */
  readonly of: string;
}

/** Shares of `of` that `holders` gave and that do not fit: of each pair one is at fault. */
export interface Blame {
  readonly of: string;
  readonly holders: readonly string[];
}

export type Opened =
  | { readonly masks: readonly Mask[]; readonly blamed: readonly Blame[] }
  | { readonly masks: undefined; readonly missing: readonly string[] };

export interface OpenInput {
  readonly sets: SurvivorSets;
  /** Of step 1, by owner: for its commitments. */
  readonly shares: Readonly<Record<string, SealedShares>>;
  /** Of step 4, by owner. */
  readonly unmaskings: Readonly<Record<string, Unmasking>>;
}

/** Every mask of the sum over the survivors, or whose secrets could not be opened. */
export async function openMasks(session: Session, input: OpenInput): Promise<Opened> {
  const { survivors, dropped } = input.sets;
  const masks: Mask[] = [];
  const [missing, blamed]: [string[], Blame[]] = [[], []];
  const noted = (of: string, holders: readonly string[]) => {
    if (holders.length > 0) blamed.push({ of, holders });
  };
  for (const owner of survivors) {
    const found = await recoverSeed(session, input, owner);
    if (found.secret === undefined) missing.push(owner);
    else {
      masks.push({ key: found.secret, of: owner, sign: 1 });
      noted(owner, found.wrong);
    }
  }
  for (const owner of dropped) {
    const found = await recoverMaskSecret(session, input, owner);
    if (found.secret === undefined) missing.push(owner);
    else {
      masks.push(...(await pairMasks(session, owner, found.secret, survivors)));
      noted(owner, found.wrong);
    }
  }
  return missing.length > 0 ? { masks: undefined, missing } : { masks, blamed };
}

function recoverSeed(session: Session, { shares, unmaskings }: OpenInput, owner: string) {
  const held = heldShares(session, owner, unmaskings, 'seeds');
  const { commitment } = shares[owner]!;
  const fits = (seed: Bytes) => toBase64url(seedCommitment(session.id, seed)) === commitment;
  return recoverSecret(held, session.graph.threshold(owner), fits);
}

function recoverMaskSecret(session: Session, { unmaskings }: OpenInput, owner: string) {
  const held = heldShares(session, owner, unmaskings, 'keys');
  const maskKey = toBase64url(session.keysOf(owner).maskKey);
  const fits = async (secret: Bytes) =>
    toBase64url(await (await keyAgreement()).publicKey(secret)) === maskKey;
  return recoverSecret(held, session.graph.threshold(owner), fits);
}

/** Only from those whom the owner gave one. */
function heldShares(
  { graph }: Session,
  owner: string,
  unmaskings: OpenInput['unmaskings'],
  kind: keyof Unmasking,
): HeldShare[] {
  return graph.holders(owner).flatMap((holder) => {
    const found = Object.hasOwn(unmaskings, holder)
      ? unmaskings[holder]![kind].find(({ of }) => of === owner)
      : undefined;
    const share = found && fromBase64url(found.share);
    return share === undefined ? [] : [{ holder, share }];
  });
}

/** What the survivors added for somebody whose own vector never came. */
async function pairMasks(
  session: Session,
  dropped: string,
  secret: Bytes,
  survivors: readonly string[],
): Promise<Mask[]> {
  const others = intersection(session.graph.neighbours(dropped), new Set(survivors));
  const masks: Mask[] = [];
  for (const other of others) {
    const key = await pairKey(session, 'pairwise', secret, session.keysOf(other).maskKey);
    masks.push({ key, of: dropped, sign: pairSign(other, dropped) });
  }
  return masks;
}
