/**
 * Who this client is: its key, and what it joined with it. The key is durable before the token is redeemed, so that a lost
 * answer can be asked for again; the run is accepted by the owner before the coordinator hears of the owner's data.
 */

import { utf8ToBytes } from '@noble/hashes/utils.js';
import { z } from 'zod';
import { toBase64url } from '../base/base64url.ts';
import { digestBytes } from '../base/canonical.ts';
import { HeadwaterError } from '../base/errors.ts';
import { parseJoinToken } from '../federation/wire/join-token.ts';
import { type Manifest, name, signedManifest } from '../federation/wire/messages.ts';
import { jsonOrUndefined } from './body.ts';
import { createCaller } from './call.ts';
import { Refused } from './failures.ts';
import { checkedManifest, checkPolicy } from './manifest.ts';
import type { ClientParts, Signer } from './ports.ts';
import { persist } from './retry.ts';

const joined = z.strictObject({
  version: z.literal(1),
  run: name,
  owner: name,
  clientId: z.string(),
  /** Fingerprint of the operator. */
  operator: z.string(),
  /** SHA-256 of the token: the token itself is used up. */
  token: z.string(),
  manifest: signedManifest,
});
type Joined = z.infer<typeof joined>;

export interface Identity {
  readonly signer: Signer;
  readonly run: string;
  readonly owner: string;
  readonly manifest: Manifest;
  /** This client had joined before it was started. */
  readonly returning: boolean;
}

export interface JoinOptions {
  /** Needed the first time. */
  readonly token?: string | undefined;
  /** Name and version of this program. */
  readonly software: string;
  readonly signal: AbortSignal;
}

/** Throws OPTION_INVALID (no token, or not one), JOIN_REFUSED, POLICY_REFUSED, and what the store throws. */
export async function enter(parts: ClientParts, options: JoinOptions): Promise<Identity> {
  const before = await loadJoined(parts);
  const isOther = options.token !== undefined && before?.token !== tokenId(options.token);
  const { signer, isNew } = await keyOf(parts, before !== undefined);
  const entry =
    before === undefined || isOther ? await join(parts, { signer, isNew, before }, options) : before;
  const manifest = await checkedManifest(entry.manifest, entry.operator, parts.verify);
  checkPolicy(parts.policy, manifest);
  const { run, owner } = entry;
  return { signer, run, owner, manifest, returning: before !== undefined };
}

interface Key {
  readonly signer: Signer;
  /** It was made just now: no token can have been redeemed with it. */
  readonly isNew: boolean;
}

async function keyOf({ store, signer }: ClientParts, joinedBefore: boolean): Promise<Key> {
  const found = await store.load('key');
  if (found === undefined && joinedBefore)
    throw new HeadwaterError('JOIN_REFUSED', 'the key of this client is gone from its state folder', {
      hint: 'Ask the operator for a new invitation and join with a new state folder.',
    });
  const made = await signer(found);
  if (found === undefined) await store.save('key', made.saved);
  return { signer: made.signer, isNew: found === undefined };
}

async function join(
  parts: ClientParts,
  { signer, isNew, before }: Key & { readonly before: Joined | undefined },
  { token, software, signal }: JoinOptions,
): Promise<Joined> {
  if (token === undefined)
    throw new HeadwaterError('OPTION_INVALID', 'a token is needed to join', {
      hint: 'Give the whole invitation: headwater join https://host:8420/#hw1_…',
    });
  const { secret, operator } = parseJoinToken(token);
  const caller = createCaller(parts, signer);
  await acceptFirst(parts, secret, operator, signal).catch((error) => {
    // Used up, but perhaps by this very key, in a process that did not live to see the answer.
    if (isNew || !isUsedUp(error)) throw error;
  });
  const body = { token: secret, publicKey: toBase64url(signer.publicKey), software };
  const answer = await persist(parts, signal, () => caller.json('join', { body }, signal));
  const checked = await checkedManifest(answer.manifest, operator, parts.verify);
  checkPolicy(parts.policy, checked);
  if (checked.run !== answer.run || (before !== undefined && before.run !== answer.run))
    throw new HeadwaterError(
      'JOIN_REFUSED',
      `the token is for the run "${answer.run}", expected "${before?.run ?? checked.run}"`,
      {
        hint: 'Use another state folder for another run.',
      },
    );
  const { run, owner, clientId, manifest } = answer;
  const entry: Joined = { version: 1, run, owner, clientId, operator, token: tokenId(token), manifest };
  await parts.store.save('joined', utf8ToBytes(JSON.stringify(entry)));
  return entry;
}

/** The policy is asked before the token is used up: a refused run leaves the invitation good. */
async function acceptFirst(
  parts: ClientParts,
  secret: string,
  operator: string,
  signal: AbortSignal,
): Promise<void> {
  const anonymous = createCaller(parts, undefined);
  const look = () => anonymous.json('peek', { body: { token: secret } }, signal);
  const { manifest } = await persist(parts, signal, look);
  checkPolicy(parts.policy, await checkedManifest(manifest, operator, parts.verify));
}

function isUsedUp(error: unknown): boolean {
  const cause = error instanceof HeadwaterError ? error.cause : undefined;
  return cause instanceof Refused && cause.answer.code === 'token-refused';
}

async function loadJoined({ store }: ClientParts): Promise<Joined | undefined> {
  const bytes = await store.load('joined');
  if (bytes === undefined) return undefined;
  const result = joined.safeParse(jsonOrUndefined(bytes));
  if (result.success) return result.data;
  throw new HeadwaterError('STORAGE_FAILED', 'the record of what this client joined is damaged', {
    hint: 'Ask the operator for a new invitation and join with a new state folder.',
  });
}

function tokenId(token: string): string {
  return digestBytes(utf8ToBytes(token));
}
