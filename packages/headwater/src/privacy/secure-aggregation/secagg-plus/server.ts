/**
 * The server's side of SecAgg+ up to the survivors: what it takes from members, what it passes on, and when it has to give an
 * attempt up. Pure functions of the messages: whoever has them can go on after a crash. It never sees a secret that is not
 * meant for it.
 */

import { fromBase64url } from '../../../base/base64url.ts';
import { aborted } from '../abort.ts';
import { SEAL_BYTES } from '../aes-gcm.ts';
import { keyAgreement } from '../key-agreement.ts';
import { SHARE_BYTES } from '../shamir.ts';
import {
  type Advert,
  type Attempt,
  type Confirmation,
  decoded,
  type SealedShares,
  type SharesForMember,
  type SurvivorSets,
  survivorsBytes,
} from './messages.ts';
import {
  advertChecker,
  checkDistinctKeys,
  intersection,
  type Session,
  SIGNATURE_BYTES,
  type Verify,
} from './session.ts';

const SEALED_SHARES_BYTES = SEAL_BYTES + 2 * SHARE_BYTES;
const COMMITMENT_BYTES = 32;
/** To try keys with: a point of low order gives zero with every secret. */
const ANY_SECRET = new Uint8Array(32).fill(77);

/**
 * Whether an advert may join those there are: a bad one would make all members leave. Throws SECURE_AGGREGATION_ABORTED
 * with the reason.
 */
export async function checkNewAdvert(
  attempt: Attempt,
  others: readonly Advert[],
  advert: Advert,
  verify: Verify,
): Promise<void> {
  await advertChecker(attempt, verify)(advert);
  checkDistinctKeys([...others, advert]);
  const { agree } = await keyAgreement();
  for (const key of [advert.channelKey, advert.maskKey]) await agree(ANY_SECRET, decoded(key, 32)!);
}

/** Whether the member sent one share to each of its neighbours, by size alone. Throws SECURE_AGGREGATION_ABORTED. */
export function checkShares({ graph }: Session, owner: string, { commitment, sealed }: SealedShares): void {
  const neighbours = graph.neighbours(owner);
  if (decoded(commitment, COMMITMENT_BYTES) === undefined)
    throw aborted('bad-share', `commitment of ${owner}`);
  if (sealed.length !== neighbours.length || sealed.some(({ to }, i) => to !== neighbours[i]))
    throw aborted('missing-share', `${owner} has other neighbours`);
  if (sealed.some(({ share }) => fromBase64url(share)?.byteLength !== SEALED_SHARES_BYTES))
    throw aborted('bad-share', `of ${owner}`);
}

/**
 * Those of `present` who can go on: everybody has enough holders among them. Leaving one out may leave others with too few,
 * so it is repeated.
 */
export function withEnoughHolders({ graph }: Session, present: readonly string[]): string[] {
  let kept = [...present];
  for (;;) {
    const set = new Set(kept);
    const next = kept.filter(
      (owner) => intersection(graph.holders(owner), set).length >= graph.threshold(owner),
    );
    if (next.length === kept.length) return kept;
    kept = next;
  }
}

/** Of `members`, those whose secrets `present` could not open. */
export function withoutEnoughHolders(
  { graph }: Session,
  members: readonly string[],
  present: readonly string[],
): string[] {
  const set = new Set(present);
  return members.filter((owner) => intersection(graph.holders(owner), set).length < graph.threshold(owner));
}

/** What `owner` is told in step 2. `members`: U2, sorted. */
export function sharesFor(
  { graph }: Session,
  owner: string,
  members: readonly string[],
  shares: Readonly<Record<string, SealedShares>>,
): SharesForMember {
  const from = intersection(graph.neighbours(owner), new Set(members));
  const sealed = from.map((name) => ({
    from: name,
    share: shares[name]!.sealed.find(({ to }) => to === owner)!.share,
  }));
  return { members, sealed };
}

/** U3 and the rest of U2, both sorted. */
export function survivorSets(members: readonly string[], uploaded: ReadonlySet<string>): SurvivorSets {
  return {
    survivors: members.filter((owner) => uploaded.has(owner)),
    dropped: members.filter((owner) => !uploaded.has(owner)),
  };
}

/** Whether the member signed these survivors. */
export async function isConfirmed(
  { attempt, id }: Session,
  survivors: readonly string[],
  { owner, signature }: Confirmation,
  verify: Verify,
): Promise<boolean> {
  const identity = attempt.roster.find((member) => member.owner === owner)?.identity;
  const [key, bytes] = [decoded(identity ?? '', 32), decoded(signature, SIGNATURE_BYTES)];
  if (key === undefined || bytes === undefined) return false;
  return verify(key, survivorsBytes(id, survivors), bytes);
}

/** What `owner` is told in step 4: what its neighbours signed. */
export function confirmationsFor(
  { graph }: Session,
  owner: string,
  confirmations: readonly Confirmation[],
): Confirmation[] {
  const neighbours = new Set(graph.neighbours(owner));
  return confirmations.filter((confirmation) => neighbours.has(confirmation.owner));
}
