/**
 * What follows from step 0 for everybody alike: who the members are, who is whose neighbour, how many shares open a secret.
 * Members compute it themselves from the signed keys and believe nobody.
 */

import { assert } from '../../../base/errors.ts';
import { aborted } from '../abort.ts';
import { graphExists, groupedNeighbourhoods, type Neighbourhoods, numGroupsOf } from '../graph.ts';
import { type Bytes, hkdfSha256 } from '../hkdf.ts';
import { KEY_BYTES, keyAgreement } from '../key-agreement.ts';
import {
  type Advert,
  type Attempt,
  advertBytes,
  attemptContext,
  decoded,
  isSortedSet,
  sessionBytes,
} from './messages.ts';

export const SIGNATURE_BYTES = 64;

export type Verify = (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => Promise<boolean>;

export interface Session {
  readonly attempt: Attempt;
  /** Bound to context, members and all their keys. */
  readonly id: Bytes;
  /** U1, sorted. */
  readonly members: readonly string[];
  readonly graph: Neighbourhoods;
  keysOf(owner: string): { readonly channelKey: Bytes; readonly maskKey: Bytes };
}

/** `adverts`: sorted, checked by whoever needs them checked. Throws SECURE_AGGREGATION_ABORTED. */
export async function openSession(attempt: Attempt, adverts: readonly Advert[]): Promise<Session> {
  const members = adverts.map(({ owner }) => owner);
  if (!isSortedSet(members)) throw aborted('bad-sets', 'the members are not a sorted set');
  if (members.length < Math.max(attempt.minOwners, 2))
    throw aborted('too-few-members', `${members.length} of at least ${attempt.minOwners}`);
  const id = sessionBytes(attemptContext(attempt), adverts);
  const graph = await groupedNeighbourhoods(members, numGroupsIn(attempt), attempt.assumed, id);
  if (graph === undefined) throw aborted('neighbourhood-size', `no graph for ${members.length} members`);
  const keys = new Map(adverts.map((advert) => [advert.owner, decodedKeys(advert)]));
  return {
    ...{ attempt, id, members, graph },
    keysOf(owner) {
      const found = keys.get(owner);
      assert(found !== undefined, `${owner} has no keys`);
      return found;
    },
  };
}

type Grouped = Pick<Attempt, 'minOwners' | 'groupSize' | 'assumed'>;

/** As many as the fewest owners of a sum would fill: what drops out of a group then leaves it whole. */
function numGroupsIn({ minOwners, groupSize }: Pick<Attempt, 'minOwners' | 'groupSize'>): number {
  return numGroupsOf(minOwners, groupSize);
}

/** Whether an attempt among so many members can begin. */
export function canBegin(attempt: Grouped, numMembers: number): boolean {
  return numMembers >= attempt.minOwners && graphExists(numMembers, numGroupsIn(attempt), attempt.assumed);
}

/** Whether each group has as many of `members` as its sum must be over. */
export function areWhole({ attempt, graph }: Session, members: readonly string[]): boolean {
  const { groupSize } = attempt;
  const set = new Set(members);
  return (
    groupSize === undefined || graph.groups.every((group) => intersection(group, set).length >= groupSize)
  );
}

function decodedKeys({ owner, channelKey, maskKey }: Advert): { channelKey: Bytes; maskKey: Bytes } {
  const [channel, mask] = [decoded(channelKey, KEY_BYTES), decoded(maskKey, KEY_BYTES)];
  if (channel === undefined || mask === undefined) throw aborted('bad-key', owner);
  return { channelKey: channel, maskKey: mask };
}

/**
 * Says whether the roster's member of an advert's name signed its keys for this attempt: by throwing
 * SECURE_AGGREGATION_ABORTED when not.
 */
export function advertChecker(attempt: Attempt, verify: Verify): (advert: Advert) => Promise<void> {
  const context = attemptContext(attempt);
  const identities = new Map(attempt.roster.map(({ owner, identity }) => [owner, identity]));
  return async (advert) => {
    const { owner } = advert;
    const known = identities.get(owner);
    if (known === undefined) throw aborted('roster-mismatch', owner);
    const { channelKey, maskKey } = decodedKeys(advert);
    const identity = decoded(known, KEY_BYTES);
    const signature = decoded(advert.signature, SIGNATURE_BYTES);
    if (identity === undefined || signature === undefined) throw aborted('bad-signature', owner);
    const message = advertBytes(context, channelKey, maskKey);
    if (!(await verify(identity, message, signature))) throw aborted('bad-signature', owner);
  };
}

/** Two equal keys would be two names of one member. */
export function checkDistinctKeys(adverts: readonly Advert[]): void {
  const seen = new Map<string, string>();
  for (const { owner, channelKey, maskKey } of adverts)
    for (const key of [channelKey, maskKey]) {
      const before = seen.get(key);
      if (before !== undefined) throw aborted('repeated-key', `${before}, ${owner}`);
      seen.set(key, owner);
    }
}

/** Key of one purpose that two members share in this session. */
export async function pairKey(
  session: Session,
  purpose: 'channel' | 'pairwise',
  secret: Uint8Array,
  publicKey: Uint8Array,
): Promise<Bytes> {
  const common = await (await keyAgreement()).agree(secret, publicKey);
  return hkdfSha256(common, session.id, `headwater/secagg-plus/v1/${purpose}`);
}

/** A pair of masks cancels: who comes later in the alphabet adds what the other takes away. */
export function pairSign(owner: string, other: string): 1 | -1 {
  return other < owner ? 1 : -1;
}

export function intersection(names: readonly string[], set: ReadonlySet<string>): string[] {
  return names.filter((name) => set.has(name));
}
