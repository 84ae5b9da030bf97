/**
 * Who this client is: its key, and what it joined with it. A key is durable before a token is redeemed with it, so that a
 * lost answer can be asked for again; the owner's policy is asked before the token is used up.
 */

import { utf8ToBytes } from '@noble/hashes/utils.js';
import { z } from 'zod';
import { fromBase64url, toBase64url } from '../base/base64url.ts';
import { digestBytes } from '../base/canonical.ts';
import { assert, HeadwaterError } from '../base/errors.ts';
import { type JoinToken, parseJoinToken } from '../federation/wire/join-token.ts';
import { type Manifest, name, signedManifest } from '../federation/wire/messages.ts';
import { jsonOrUndefined } from './body.ts';
import { createCaller } from './call.ts';
import { refusalCode } from './failures.ts';
import { checkedManifest, checkPolicy } from './manifest.ts';
import { startMemory } from './memory.ts';
import type { ClientParts, ClientStore, Signer } from './ports.ts';
import { persist } from './retry.ts';

/** A key, and the SHA-256 of the token that it redeems: each token gets a key of its own. */
const joining = z.strictObject({ version: z.literal(1), token: z.string(), key: z.string() });

const joined = joining.extend({
  run: name,
  owner: name,
  /** Fingerprint of the operator. */
  operator: z.string(),
  manifest: signedManifest,
});
type Joining = z.infer<typeof joining>;
type Joined = z.infer<typeof joined>;

export interface Identity {
  readonly signer: Signer;
  readonly run: string;
  readonly owner: string;
  readonly manifest: Manifest;
  /** Public key of the operator, which the invitation vouches for. */
  readonly operatorKey: Uint8Array;
  /** This client had joined before it was started. */
  readonly returning: boolean;
}

export interface JoinOptions {
  /** Needed the first time; a new one replaces the key. */
  readonly token?: string | undefined;
  /** The name that the invitation must be for, if the owner says so. */
  readonly owner?: string | undefined;
  /** Name and version of this program. */
  readonly software: string;
  readonly signal: AbortSignal;
}

/** Throws OPTION_INVALID (no token, or not one), JOIN_REFUSED, POLICY_REFUSED, and what the store throws. */
export async function enter(parts: ClientParts, options: JoinOptions): Promise<Identity> {
  const before = await joinedBefore(parts);
  const { token } = options;
  const isNew = before === undefined || (token !== undefined && before.token !== tokenId(token));
  const entry = isNew ? await join(parts, before, options) : before;
  const manifest = await checkedManifest(entry.manifest, entry.operator, parts.verify);
  checkPolicy(parts.policy, manifest);
  const { signer } = await parts.signer(keyBytes(entry));
  const { run, owner } = entry;
  checkExpected(owner, options.owner);
  const operatorKey = operatorKeyOf(entry.manifest);
  return { signer, run, owner, manifest, operatorKey, returning: before !== undefined };
}

/** Of a manifest that was checked. */
function operatorKeyOf({ operatorKey }: Joined['manifest']): Uint8Array {
  const key = fromBase64url(operatorKey);
  assert(key !== undefined, 'the manifest was checked with this key');
  return key;
}

/** What a client of this store joined; undefined: nothing yet. Throws STORAGE_FAILED when the record is damaged. */
export async function joinedBefore({
  store,
}: {
  readonly store: Pick<ClientStore, 'load'>;
}): Promise<Joined | undefined> {
  const bytes = await store.load('joined');
  if (bytes === undefined) return undefined;
  const result = joined.safeParse(jsonOrUndefined(bytes));
  if (result.success) return result.data;
  throw new HeadwaterError('STORAGE_FAILED', 'the record of what this client joined is damaged', {
    hint: 'Ask the operator for a new invitation and join with a new state folder.',
  });
}

async function join(
  parts: ClientParts,
  before: Joined | undefined,
  { token, owner: expected, software, signal }: JoinOptions,
): Promise<Joined> {
  const { secret, operator } = requiredToken(token);
  const id = tokenId(token ?? '');
  const tried = await triedBefore(parts, id);
  await lookFirst(parts, { secret, operator, signal, before, expected }).catch((error) => {
    // Used up, but perhaps by our key, in a process that did not live to see the answer.
    if (tried === undefined || refusalCode(error) !== 'token-refused') throw error;
  });
  const { signer, entry } = tried ?? (await withNewKey(parts, id));
  const body = { token: secret, publicKey: toBase64url(signer.publicKey), software };
  const caller = createCaller(parts, signer);
  const answer = await persist(parts, signal, () => caller.json('join', { body }, signal));
  const { run, owner, manifest } = answer;
  const checked = await checkedManifest(manifest, operator, parts.verify);
  checkSameRun({ run: checked.run, owner }, { run, owner });
  if (before !== undefined) checkSameRun({ run, owner }, before);
  if (before === undefined) await startMemory(parts.store);
  const result: Joined = { ...entry, run, owner, operator, manifest };
  await parts.store.save('joined', utf8ToBytes(JSON.stringify(result)));
  await parts.store.remove('joining');
  return result;
}

/** Throws OPTION_INVALID. */
export function requiredToken(token: string | undefined): JoinToken {
  if (token !== undefined) return parseJoinToken(token);
  throw new HeadwaterError('OPTION_INVALID', 'a token is needed to join', {
    hint: 'Give the whole invitation: headwater join https://host:8420/#hw1_…',
  });
}

interface Key {
  readonly signer: Signer;
  readonly entry: Joining;
}

async function triedBefore({ store, signer }: ClientParts, token: string): Promise<Key | undefined> {
  const bytes = await store.load('joining');
  const found = bytes === undefined ? undefined : joining.safeParse(jsonOrUndefined(bytes)).data;
  if (found?.token !== token) return undefined;
  return { signer: (await signer(keyBytes(found))).signer, entry: found };
}

async function withNewKey({ store, signer }: ClientParts, token: string): Promise<Key> {
  const made = await signer(undefined);
  const entry: Joining = { version: 1, token, key: toBase64url(made.saved) };
  await store.save('joining', utf8ToBytes(JSON.stringify(entry)));
  return { signer: made.signer, entry };
}

/** Saved form of the key. Throws STORAGE_FAILED. */
export function keyBytes({ key }: Pick<Joining, 'key'>): Uint8Array {
  const bytes = fromBase64url(key);
  if (bytes !== undefined) return bytes;
  throw new HeadwaterError('STORAGE_FAILED', 'the key of this client is damaged', {
    hint: 'Ask the operator for a new invitation.',
  });
}

interface Looking {
  readonly secret: string;
  readonly operator: string;
  readonly before: Joined | undefined;
  readonly expected: string | undefined;
  readonly signal: AbortSignal;
}

/** A run that the owner refuses leaves the invitation good. */
async function lookFirst(
  parts: ClientParts,
  { secret, operator, before, expected, signal }: Looking,
): Promise<void> {
  const caller = createCaller(parts, undefined);
  const look = () => caller.json('peek', { body: { token: secret } }, signal);
  const { manifest, run, owner } = await persist(parts, signal, look);
  checkExpected(owner, expected);
  if (before !== undefined) checkSameRun({ run, owner: owner ?? before.owner }, before);
  checkPolicy(parts.policy, await checkedManifest(manifest, operator, parts.verify));
}

function checkExpected(owner: string | null, expected: string | undefined): void {
  if (expected === undefined || owner === expected) return;
  const got = owner === null ? 'for no name in particular' : `for "${owner}"`;
  throw new HeadwaterError('OPTION_INVALID', `the invitation is ${got}, expected "${expected}"`, {
    hint: 'Names come with invitations: ask the operator for one with this name, or leave the name out.',
  });
}

type Place = Pick<Joined, 'run' | 'owner'>;

function checkSameRun(got: Place, expected: Place): void {
  if (got.run === expected.run && got.owner === expected.owner) return;
  const text = ({ run, owner }: Place) => `"${owner}" in the run "${run}"`;
  throw new HeadwaterError('JOIN_REFUSED', `the token is for ${text(got)}, expected ${text(expected)}`, {
    hint: 'What was kept here belongs to the other one: use another state folder.',
  });
}

function tokenId(token: string): string {
  return digestBytes(utf8ToBytes(token));
}
