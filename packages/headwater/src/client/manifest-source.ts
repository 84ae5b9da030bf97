/**
 * The signed run and the files of its model, before joining by the token, afterwards by the client's key. Looking uses nothing
 * up and tells the coordinator nothing but the token.
 */

import type { SignedManifest } from '../federation/wire/messages.ts';
import { createCaller } from './call.ts';
import type { AskForBytes } from './download.ts';
import { joinedBefore, keyBytes, requiredToken } from './identity.ts';
import type { ClientParts, ClientStore } from './ports.ts';
import { persist } from './retry.ts';

export interface ManifestSource {
  readonly operator: string;
  /** Null: the coordinator gives a free name. */
  readonly owner: string | null;
  readonly joined: boolean;
  readonly signed: SignedManifest;
  readonly askFile: AskForBytes;
}

export type SourceParts = Pick<
  ClientParts,
  'transport' | 'clock' | 'timers' | 'entropy' | 'hasher' | 'signer' | 'onEvent'
> & { readonly store: Pick<ClientStore, 'load'> };

/** Throws OPTION_INVALID (neither joined nor invited), JOIN_REFUSED, INTERRUPTED. */
export async function manifestSource(
  parts: SourceParts,
  token: string | undefined,
  signal: AbortSignal,
): Promise<ManifestSource> {
  const joined = await joinedBefore(parts);
  return joined === undefined ? asInvited(parts, token, signal) : asJoined(parts, joined);
}

async function asInvited(
  parts: SourceParts,
  token: string | undefined,
  signal: AbortSignal,
): Promise<ManifestSource> {
  const { secret, operator } = requiredToken(token);
  const caller = createCaller(parts, undefined);
  const body = { token: secret };
  const { owner, manifest } = await persist(parts, signal, () => caller.json('peek', { body }, signal));
  const askFile: AskForBytes = (digest, headers, inner) =>
    caller.bytes('peekFile', { params: { digest }, body, headers }, inner);
  return { operator, owner, joined: false, signed: manifest, askFile };
}

async function asJoined(
  parts: SourceParts,
  joined: NonNullable<Awaited<ReturnType<typeof joinedBefore>>>,
): Promise<ManifestSource> {
  const { run, owner, operator, manifest } = joined;
  const caller = createCaller(parts, (await parts.signer(keyBytes(joined))).signer);
  const askFile: AskForBytes = (digest, headers, inner) =>
    caller.bytes('blob', { params: { run, digest }, headers }, inner);
  return { operator, owner, joined: true, signed: manifest, askFile };
}
