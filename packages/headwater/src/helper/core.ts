/**
 * The helper of secure aggregation with two servers: opens the sum of the masks of one set of updates of a round, once and for good.
 * It never sees an update, masked or not, and lets no two different sets of one round be subtracted from each other.
 */

import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import { fromBase64url, toBase64url } from '../base/base64url.ts';
import { assert } from '../base/errors.ts';
import { groupsOf } from '../federation/masking/groups.ts';
import {
  HELPER_REFUSALS,
  type HelperRefusalBody,
  type HelperRefusalCode,
  setDigest,
  type UnmaskOrderMessage,
  type UnmaskRequest,
  unmaskOrder,
} from '../federation/wire/helper.ts';
import { hkdfSha256 } from '../privacy/secure-aggregation/hkdf.ts';
import { addMasks, type MaskTerm } from '../privacy/secure-aggregation/mask-stream.ts';
import {
  maskKeyOf,
  openSeed,
  signedBytes,
  twoServerContext,
} from '../privacy/secure-aggregation/two-server/envelope.ts';
import { bytesOfWords } from '../privacy/secure-aggregation/words.ts';
import type { Records } from '../storage/store.ts';

export interface HelperParts {
  readonly records: Records;
  /** X25519, 32 bytes. */
  readonly secret: Uint8Array;
  readonly publicKey: Uint8Array;
  /** Ed25519. */
  readonly verify: (publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array) => Promise<boolean>;
  /** Fewest updates of a sum, whatever a run says. */
  readonly minUpdates: number;
  /** Keys that count, by owner; undefined: whatever key the coordinator names. */
  readonly members: ReadonlyMap<string, string> | undefined;
}

export type HelperAnswer =
  | {
      readonly kind: 'opened';
      readonly bytes: number;
      readonly sums: AsyncIterable<Uint8Array>;
      readonly order: UnmaskOrderMessage;
      /** What groups were drawn by, hex. */
      readonly draw: string;
    }
  | { readonly kind: 'refused'; readonly body: HelperRefusalBody };

export interface Helper {
  /** The sums of the masks, one group behind the other, as little-endian words. */
  unmask(request: UnmaskRequest): Promise<HelperAnswer>;
}

class Refused extends Error {
  readonly code: HelperRefusalCode;
  readonly owners: readonly string[] | undefined;

  constructor(code: HelperRefusalCode, detail = '', owners?: readonly string[]) {
    super(detail === '' ? HELPER_REFUSALS[code] : `${HELPER_REFUSALS[code]} ${detail}`);
    this.code = code;
    this.owners = owners;
  }
}

export function createHelper(parts: HelperParts): Helper {
  return {
    async unmask(request) {
      try {
        return await unmasked(parts, request);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        const { code, message, owners } = error;
        return {
          kind: 'refused',
          body: { error: { code, message, ...(owners === undefined ? {} : { owners: [...owners] }) } },
        };
      }
    },
  };
}

async function unmasked(parts: HelperParts, request: UnmaskRequest): Promise<HelperAnswer> {
  const order = await signedOrder(parts, request);
  const { context, members } = order;
  if (context.helper !== toBase64url(parts.publicKey)) throw new Refused('other-helper');
  checkNumbers(parts, order);
  // What was opened is opened again, whoever is a member now: another set would be refused, and the round could never end.
  const isKnown = (await openedSet(parts.records, order)) === setDigest(order);
  const keys = await keysOf(isKnown ? { ...parts, members: undefined } : parts, order);
  await remember(parts.records, order);
  const draw = drawOf(parts.secret, order);
  const groups = groupsOf(members.length, context.groupSize, draw);
  const sums = sumsOf(
    groups.map((places) => places.map((place) => keys[place]!)),
    context.words,
  );
  return { kind: 'opened', bytes: groups.length * context.words * 4, sums, order, draw };
}

/**
 * The same for the same set, and nobody else can foresee it: a coordinator that could would try members until an owner stood among its
 * friends alone.
 */
function drawOf(secret: Uint8Array, order: UnmaskOrderMessage): string {
  const set = utf8ToBytes(setDigest(order));
  return bytesToHex(hkdfSha256(secret, set, 'headwater/secure-aggregation/v1/two-server/groups'));
}

async function signedOrder(
  { verify }: HelperParts,
  { text, signature }: UnmaskRequest,
): Promise<UnmaskOrderMessage> {
  const parsed = unmaskOrder.safeParse(jsonOf(text));
  if (!parsed.success) throw new Refused('malformed');
  const operator = fromBase64url(parsed.data.context.operator);
  const signed = fromBase64url(signature);
  if (operator === undefined || signed === undefined || !(await verify(operator, utf8ToBytes(text), signed)))
    throw new Refused('not-signed');
  return parsed.data;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function checkNumbers({ minUpdates }: HelperParts, { context, members }: UnmaskOrderMessage): void {
  // Fewer than a group would be one group that is too small.
  const least = Math.max(minUpdates, context.minUpdates, context.groupSize ?? 0);
  if (members.length < least) throw new Refused('too-few', `${members.length} of at least ${least}`);
  if (context.groupSize !== null && context.groupSize < minUpdates)
    throw new Refused('too-few', `groups of ${context.groupSize}, at least ${minUpdates}`);
  for (const part of ['owner', 'publicKey', 'update'] as const)
    if (new Set(members.map((member) => member[part])).size < members.length)
      throw new Refused('twice-there', part);
}

/** Keys of the masks, in the order of the members. */
async function keysOf(
  { verify, secret, members: known }: HelperParts,
  { context, members }: UnmaskOrderMessage,
): Promise<readonly Uint8Array[]> {
  const bound = twoServerContext(context);
  const keys: Uint8Array[] = [];
  const bad: string[] = [];
  for (const { owner, publicKey, update, sealed, signature } of members) {
    const submission = { owner, update };
    const [key, seal, signed] = [publicKey, sealed, signature].map(fromBase64url);
    const isTheirs =
      (known === undefined || known.get(owner) === publicKey) &&
      key !== undefined &&
      seal !== undefined &&
      signed !== undefined &&
      (await verify(key, signedBytes(bound, submission, seal), signed));
    const seed = isTheirs ? await openSeed(secret, bound, submission, seal) : undefined;
    if (seed === undefined) bad.push(owner);
    else keys.push(maskKeyOf(seed, bound));
  }
  if (bad.length > 0) throw new Refused('bad-members', bad.slice(0, 10).join(', '), bad);
  return keys;
}

/** `opened`, by operator, run and round: the set whose sum was opened. Durable before anything of it is sent. */
async function remember(records: Records, order: UnmaskOrderMessage): Promise<void> {
  const set = setDigest(order);
  await records.put('opened', keyOf(order), { set }, 0);
  const kept = await openedSet(records, order);
  assert(kept !== undefined, 'what was written is there');
  if (kept !== set) throw new Refused('other-set');
}

async function openedSet(records: Records, order: UnmaskOrderMessage): Promise<string | undefined> {
  const kept = await records.get('opened', keyOf(order));
  return (kept?.value as { readonly set: string } | undefined)?.set;
}

function keyOf({ context: { operator, run, round } }: UnmaskOrderMessage): string {
  return `${operator}/${run}/${round}`;
}

/** Words sent at once: 1 MiB. */
const PIECE_WORDS = 2 ** 18;

async function* sumsOf(
  groups: readonly (readonly Uint8Array[])[],
  words: number,
): AsyncGenerator<Uint8Array> {
  for (const keys of groups) {
    const masks = keys.map((key): MaskTerm => ({ key, sign: 1 }));
    for (let at = 0; at < words; at += PIECE_WORDS) {
      const sum = new Uint32Array(Math.min(PIECE_WORDS, words - at));
      await addMasks(sum, masks, at);
      yield bytesOfWords(sum);
    }
  }
}
