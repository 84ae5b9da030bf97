/**
 * A member's side of SecAgg+: five steps, each a function of what it remembers and what the server says, that checks
 * everything and leaves rather than telling too much. It trusts the roster of the attempt and nobody else.
 */

import { fromBase64url, toBase64url } from '../../../base/base64url.ts';
import { joinBytes } from '../../../base/bytes.ts';
import { assert } from '../../../base/errors.ts';
import { aborted } from '../abort.ts';
import { NONCE_BYTES, seal, unseal } from '../aes-gcm.ts';
import type { Bytes } from '../hkdf.ts';
import { KEY_BYTES, keyAgreement } from '../key-agreement.ts';
import { addMasks, MASK_KEY_BYTES, type MaskTerm } from '../mask-stream.ts';
import { SHARE_BYTES, shareSecret } from '../shamir.ts';
import type { Advertised, Answered, Confirmed, EntrustedShare, Masked, Shared } from './client-state.ts';
import {
  type Advert,
  type Attempt,
  advertBytes,
  attemptContext,
  type Confirmation,
  decoded,
  isSortedSet,
  type SealedShares,
  type SharesForMember,
  type SurvivorSets,
  seedCommitment,
  survivorsBytes,
  type Unmasking,
} from './messages.ts';
import {
  advertChecker,
  areWhole,
  checkDistinctKeys,
  intersection,
  openSession,
  pairKey,
  pairSign,
  type Session,
  SIGNATURE_BYTES,
  type Verify,
} from './session.ts';
import { sharesContext } from './share-context.ts';

export interface Identity {
  readonly publicKey: Uint8Array;
  sign(message: Uint8Array): Promise<Uint8Array>;
}

/** Bytes from a CSPRNG. */
export type Entropy = (bytes: number) => Uint8Array;

export interface Taken<S, M> {
  /** To be saved before the message is sent. */
  readonly state: S;
  readonly message: M;
}

/** Step 0. Throws SECURE_AGGREGATION_ABORTED. */
export async function advertise(
  attempt: Attempt,
  owner: string,
  identity: Identity,
  entropy: Entropy,
): Promise<Taken<Advertised, Advert>> {
  checkRoster(attempt, owner, identity);
  const [channelSecret, maskSecret] = [entropy(KEY_BYTES), entropy(KEY_BYTES)];
  const { publicKey } = await keyAgreement();
  const [channelKey, maskKey] = [await publicKey(channelSecret), await publicKey(maskSecret)];
  const signature = await identity.sign(advertBytes(attemptContext(attempt), channelKey, maskKey));
  const advert: Advert = {
    owner,
    channelKey: toBase64url(channelKey),
    maskKey: toBase64url(maskKey),
    signature: toBase64url(signature),
  };
  const secrets = { channelSecret: toBase64url(channelSecret), maskSecret: toBase64url(maskSecret) };
  return { state: { step: 'advertised', attempt, owner, advert, ...secrets }, message: advert };
}

function checkRoster({ roster, minOwners }: Attempt, owner: string, { publicKey }: Identity): void {
  if (!isSortedSet(roster.map((member) => member.owner))) throw aborted('bad-sets', 'the roster');
  if (roster.length < minOwners) throw aborted('too-few-members', `${roster.length} in the roster`);
  const self = roster.find((member) => member.owner === owner);
  if (self?.identity !== toBase64url(publicKey)) throw aborted('roster-mismatch', owner);
  if (new Set(roster.map(({ identity }) => identity)).size < roster.length)
    throw aborted('repeated-key', 'two owners of the roster have one identity');
}

/** Step 1. `adverts`: of U1. Throws SECURE_AGGREGATION_ABORTED. */
export async function shareKeys(
  state: Advertised,
  adverts: readonly Advert[],
  verify: Verify,
  entropy: Entropy,
): Promise<Taken<Shared, SealedShares>> {
  const { attempt, owner } = state;
  const session = await openSession(attempt, adverts);
  checkOwn(state, adverts);
  checkDistinctKeys(adverts);
  const check = advertChecker(attempt, verify);
  for (const advert of adverts) await check(advert);
  const holders = session.graph.holders(owner);
  const threshold = session.graph.threshold(owner);
  if (holders.length < threshold) throw aborted('neighbourhood-size', `${holders.length} of ${threshold}`);
  const seed = entropy(MASK_KEY_BYTES);
  const keyShares = await shareSecret(bytesOf(state.maskSecret), holders.length, threshold);
  const seedShares = await shareSecret(seed, holders.length, threshold);
  const sealed: { to: string; share: string }[] = [];
  for (const [i, to] of holders.entries())
    if (to !== owner) {
      const text = joinBytes([keyShares[i]!, seedShares[i]!]);
      sealed.push({ to, share: toBase64url(await sealFor(session, state, to, text, entropy)) });
    }
  const own = holders.indexOf(owner);
  const message = { commitment: toBase64url(seedCommitment(session.id, seed)), sealed };
  const kept = { seed: toBase64url(seed), ownShare: own < 0 ? null : toBase64url(seedShares[own]!) };
  return { state: { ...state, ...kept, step: 'shared', adverts, message }, message };
}

function checkOwn({ owner, advert }: Advertised, adverts: readonly Advert[]): void {
  const own = adverts.filter((entry) => entry.owner === owner);
  const same =
    own.length === 1 &&
    (Object.keys(advert) as (keyof Advert)[]).every((key) => own[0]![key] === advert[key]);
  if (!same) throw aborted('own-keys', owner);
}

async function sealFor(
  session: Session,
  state: Advertised,
  to: string,
  text: Uint8Array,
  entropy: Entropy,
): Promise<Bytes> {
  const key = await pairKey(session, 'channel', bytesOf(state.channelSecret), session.keysOf(to).channelKey);
  return seal(key, entropy(NONCE_BYTES), text, sharesContext(session.id, state.owner, to));
}

/** Step 2. `input`: words modulo 2³²; the masked ones are new memory. Throws SECURE_AGGREGATION_ABORTED. */
export async function maskInput(
  state: Shared,
  { members, sealed }: SharesForMember,
  input: Uint32Array,
): Promise<Taken<Masked, Uint32Array<ArrayBuffer>>> {
  const { attempt, owner, adverts } = state;
  assert(input.length === attempt.length, `${input.length} words, the attempt has ${attempt.length}`);
  const session = await openSession(attempt, adverts);
  const present = checkMembers(session, owner, members);
  const from = intersection(session.graph.neighbours(owner), present);
  const names = sealed.map((item) => item.from);
  if (!isSortedSet(names) || names.some((name) => !from.includes(name)))
    throw aborted('unexpected-share', names.filter((name) => !from.includes(name)).join(', '));
  if (names.length < from.length)
    throw aborted('missing-share', from.filter((name) => !names.includes(name)).join(', '));
  const entrusted: EntrustedShare[] = [];
  for (const item of sealed) entrusted.push(await opened(session, state, item));
  const masked = await maskedVector(session, state, from, input);
  const { message: _, ...kept } = state;
  return { state: { ...kept, step: 'masked', members, entrusted }, message: masked };
}

/** U2 must be a part of U1 with us in it, and leave enough holders of our shares. */
function checkMembers(session: Session, owner: string, members: readonly string[]): ReadonlySet<string> {
  const present = new Set(members);
  const known = new Set(session.members);
  if (!isSortedSet(members) || members.some((name) => !known.has(name))) throw aborted('bad-sets', 'U2');
  if (!present.has(owner)) throw aborted('own-keys', 'not in U2');
  if (members.length < session.attempt.minOwners || !areWhole(session, members))
    throw aborted('too-few-members', `${members.length} in U2`);
  checkHolders(session, owner, present);
  return present;
}

function checkHolders({ graph }: Session, owner: string, present: ReadonlySet<string>): void {
  const holders = intersection(graph.holders(owner), present).length;
  const threshold = graph.threshold(owner);
  if (holders < threshold) throw aborted('neighbourhood-size', `${holders} of ${threshold}`);
}

async function opened(
  session: Session,
  { owner, channelSecret }: Shared,
  { from, share }: SharesForMember['sealed'][number],
): Promise<EntrustedShare> {
  const key = await pairKey(session, 'channel', bytesOf(channelSecret), session.keysOf(from).channelKey);
  const sealed = fromBase64url(share);
  const text = sealed && (await unseal(key, sealed, sharesContext(session.id, from, owner)));
  if (text?.byteLength !== 2 * SHARE_BYTES) throw aborted('bad-share', `from ${from}`);
  return {
    from,
    key: toBase64url(text.subarray(0, SHARE_BYTES)),
    seed: toBase64url(text.subarray(SHARE_BYTES)),
  };
}

/** y = x + PRG(b) + Σ_{v<u} PRG(s_uv) − Σ_{v>u} PRG(s_uv), over the neighbours v in U2. */
async function maskedVector(
  session: Session,
  { owner, seed, maskSecret }: Shared,
  neighbours: readonly string[],
  input: Uint32Array,
): Promise<Uint32Array<ArrayBuffer>> {
  const masked = new Uint32Array(input);
  const masks: MaskTerm[] = [{ key: bytesOf(seed), sign: 1 }];
  for (const other of neighbours) {
    const key = await pairKey(session, 'pairwise', bytesOf(maskSecret), session.keysOf(other).maskKey);
    masks.push({ key, sign: pairSign(owner, other) });
  }
  await addMasks(masked, masks);
  return masked;
}

/** Step 3. Throws SECURE_AGGREGATION_ABORTED. */
export async function confirmSurvivors(
  state: Masked,
  sets: SurvivorSets,
  identity: Identity,
): Promise<Taken<Confirmed, Confirmation>> {
  const { owner } = state;
  const session = await openSession(state.attempt, state.adverts);
  checkSets(session, state, sets);
  const signature = toBase64url(await identity.sign(survivorsBytes(session.id, sets.survivors)));
  return { state: { ...state, step: 'confirmed', sets, signature }, message: { owner, signature } };
}

/** Survivors and dropped must be U2 in two parts: nobody is in both, nobody is forgotten, nobody is new. */
function checkSets(session: Session, { owner, members }: Masked, { survivors, dropped }: SurvivorSets): void {
  if (!isSortedSet(survivors) || !isSortedSet(dropped)) throw aborted('bad-sets', 'not sorted sets');
  const alive = new Set(survivors);
  const both = dropped.filter((name) => alive.has(name));
  if (both.length > 0) throw aborted('bad-sets', `${both.join(', ')} in both`);
  const union = [...survivors, ...dropped].sort();
  if (union.length !== members.length || union.some((name, i) => name !== members[i]))
    throw aborted('bad-sets', 'they are not U2');
  if (!alive.has(owner)) throw aborted('not-a-survivor', owner);
  if (survivors.length < session.attempt.minOwners || !areWhole(session, survivors))
    throw aborted('too-few-members', `${survivors.length} survivors`);
  checkHolders(session, owner, alive);
}

/** Step 4. `confirmations`: of neighbours. Throws SECURE_AGGREGATION_ABORTED; the state's secrets are then to be erased too. */
export async function unmask(
  state: Confirmed,
  confirmations: readonly Confirmation[],
  verify: Verify,
): Promise<Taken<Answered, Unmasking>> {
  const { attempt, owner, sets } = state;
  const session = await openSession(attempt, state.adverts);
  const count = await countConfirmations(session, state, confirmations, verify);
  const threshold = session.graph.threshold(owner);
  if (count < threshold) throw aborted('inconsistent-survivors', `${count} of ${threshold}`);
  const alive = new Set(sets.survivors);
  const own = state.ownShare === null ? [] : [{ of: owner, share: state.ownShare }];
  const seeds = state.entrusted
    .filter(({ from }) => alive.has(from))
    .map(({ from, seed }) => ({ of: from, share: seed }));
  const keys = state.entrusted
    .filter(({ from }) => !alive.has(from))
    .map(({ from, key }) => ({ of: from, share: key }));
  const message = { seeds: [...seeds, ...own].sort((a, b) => (a.of < b.of ? -1 : 1)), keys };
  return { state: { step: 'answered', attempt, owner, message }, message };
}

/** Surviving holders of our shares who signed the same survivors, ourselves among them where we hold one. */
async function countConfirmations(
  session: Session,
  { owner, sets, attempt }: Confirmed,
  confirmations: readonly Confirmation[],
  verify: Verify,
): Promise<number> {
  const message = survivorsBytes(session.id, sets.survivors);
  const holders = new Set(intersection(session.graph.holders(owner), new Set(sets.survivors)));
  const confirmed = new Set(holders.has(owner) ? [owner] : []);
  for (const confirmation of confirmations) {
    const member = attempt.roster.find((entry) => entry.owner === confirmation.owner);
    const signature = decoded(confirmation.signature, SIGNATURE_BYTES);
    if (member === undefined || signature === undefined || !holders.has(member.owner)) continue;
    if (await verify(bytesOf(member.identity), message, signature)) confirmed.add(member.owner);
  }
  return confirmed.size;
}

function bytesOf(text: string): Bytes {
  const bytes = fromBase64url(text);
  assert(bytes !== undefined, 'what was saved is not base64url');
  return bytes;
}
