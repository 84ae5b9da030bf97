/**
 * Everything that secure aggregation makes, from fixed randomness: keys, shares, masks, masked vectors, signatures, the opened sum, and
 * the sealed seed of two servers. The same code runs in Node and in a tab, so that what they make can be compared byte by byte.
 */

import { fromBase64url, toBase64url } from '../../../headwater/src/base/base64url.ts';
import { joinBytes } from '../../../headwater/src/base/bytes.ts';
import { canonicalJson, digestBytes } from '../../../headwater/src/base/canonical.ts';
import { rng } from '../../../headwater/src/base/random.ts';
import type { Signer } from '../../../headwater/src/client/ports.ts';
import { webcryptoSigner, webcryptoVerify } from '../../../headwater/src/client/webcrypto.ts';
import {
  keyAgreement,
  webcryptoAgreement,
} from '../../../headwater/src/privacy/secure-aggregation/key-agreement.ts';
import { addMask } from '../../../headwater/src/privacy/secure-aggregation/mask-stream.ts';
import {
  type Reached,
  runAttempt,
} from '../../../headwater/src/privacy/secure-aggregation/secagg-plus/attempt.ts';
import {
  type Drop,
  localMember,
} from '../../../headwater/src/privacy/secure-aggregation/secagg-plus/local-member.ts';
import type { Attempt } from '../../../headwater/src/privacy/secure-aggregation/secagg-plus/messages.ts';
import {
  maskKeyOf,
  openSeed,
  sealSeed,
  signedBytes,
  twoServerContext,
} from '../../../headwater/src/privacy/secure-aggregation/two-server/envelope.ts';

export interface SecureTranscript {
  /** Who agreed on keys. */
  readonly x25519: 'webcrypto' | 'javascript';
  /** What was made, in order, each with the SHA-256 of its bytes. */
  readonly made: readonly string[];
  /** Of the survivors; from the masked vectors and what was revealed. */
  readonly sum: readonly number[];
}

/** From a generator for simulations: the same everywhere, and nothing of what is tested. */
export function fixedBytes(name: string): (count: number) => Uint8Array<ArrayBuffer> {
  const random = rng('secure-transcript', name);
  return (count) => Uint8Array.from({ length: count }, () => random.uint32() & 255);
}

const LENGTH = 5000;
/** Seven members, of which one is gone before it sends its vector and one after. */
const DROPS: readonly Drop[] = [undefined, 'mask', undefined, undefined, 'unmask', undefined, undefined];
const OWNERS = DROPS.map((_, i) => `owner-${i}`);

/** A browser without X25519, until the page ends: audited JavaScript takes its place. */
export function hideX25519(): void {
  const { subtle } = crypto;
  const original = subtle.importKey.bind(subtle) as (...all: unknown[]) => Promise<CryptoKey>;
  const importKey = async (...all: unknown[]) => {
    if (all[2] === 'X25519') throw new DOMException('no such algorithm', 'NotSupportedError');
    return original(...all);
  };
  Object.defineProperty(subtle, 'importKey', { value: importKey, configurable: true });
}

/** Whoever calls it has replaced the randomness of shares, which is not given as an argument. */
export async function secureTranscript(): Promise<SecureTranscript> {
  const made: string[] = [];
  const note = (what: string, bytes: Uint8Array) => made.push(`${what} ${digestBytes(bytes)}`);
  const noteJson = (what: string, value: unknown) =>
    note(what, new TextEncoder().encode(canonicalJson(value)));
  const agreement = await keyAgreement();
  const sum = await secaggPlus(note, noteJson);
  await twoServer(note);
  return { x25519: agreement === webcryptoAgreement ? 'webcrypto' : 'javascript', made, sum };
}

type Note = (what: string, bytes: Uint8Array) => void;
type NoteJson = (what: string, value: unknown) => void;

async function secaggPlus(note: Note, noteJson: NoteJson): Promise<number[]> {
  const signers = await Promise.all(OWNERS.map(fixedSigner));
  const roster = OWNERS.map((owner, i) => ({ owner, identity: toBase64url(signers[i]!.publicKey) }));
  const assumed = { adversaries: 0.1, dropouts: 0.2 };
  const attempt: Attempt = {
    ...{ run: 'r', round: 2, attempt: 1, length: LENGTH, layout: 'l', minOwners: 3, assumed, roster },
  };
  const inTurn = turns();
  const members = OWNERS.map((owner, i): [string, Reached] => {
    const input = async () => vectorOf(owner);
    const parts = { identity: signers[i]!, verify: webcryptoVerify, entropy: fixedBytes(owner), input };
    return [owner, noted(localMember(attempt, owner, parts, DROPS[i]), owner, inTurn, note, noteJson)];
  });
  const outcome = await runAttempt(attempt, new Map(members), webcryptoVerify);
  if (outcome.sum === undefined) throw new Error(outcome.reason);
  noteJson('survivors', outcome.survivors);
  note('sum', new Uint8Array(outcome.sum.buffer));
  return [...outcome.sum];
}

/** One after another: all shares come from one stream of randomness. */
function turns(): <T>(act: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (act) => {
    const turn = last.then(act);
    last = turn;
    return turn;
  };
}

function noted(
  member: Reached,
  owner: string,
  inTurn: ReturnType<typeof turns>,
  note: Note,
  noteJson: NoteJson,
): Reached {
  return {
    advertise: () =>
      inTurn(async () => {
        const advert = await member.advertise();
        noteJson(`keys of ${owner}`, advert ?? null);
        return advert;
      }),
    ask: (told) =>
      inTurn(async () => {
        const said = await member.ask(told);
        if (said?.step === 'mask') note(`masked vector of ${owner}`, new Uint8Array(said.message!.buffer));
        else noteJson(`${told.step} of ${owner}`, said?.message ?? null);
        return said;
      }),
  };
}

/** What the masks hide: any 32 bits. */
function vectorOf(owner: string): Uint32Array {
  return new Uint32Array(fixedBytes(`vector of ${owner}`)(4 * LENGTH).buffer);
}

/** The exact sum of those whose vectors came. */
export function expectedSum(): number[] {
  const sum = new Uint32Array(LENGTH);
  for (const [i, owner] of OWNERS.entries()) {
    if (DROPS[i] === 'mask') continue;
    const vector = vectorOf(owner);
    for (let at = 0; at < LENGTH; at++) sum[at] = sum[at]! + vector[at]!;
  }
  return [...sum];
}

/** DER of a private key (RFC 8410) up to its 32 bytes. */
const PKCS8_PREFIX = fromBase64url('MC4CAQAwBQYDK2VwBCIEIA')!;

async function fixedSigner(owner: string): Promise<Signer> {
  const pkcs8 = joinBytes([PKCS8_PREFIX, fixedBytes(`identity of ${owner}`)(32)]);
  const key = await crypto.subtle.importKey('pkcs8', pkcs8, 'Ed25519', true, ['sign']);
  const { x } = await crypto.subtle.exportKey('jwk', key);
  const { signer } = await webcryptoSigner(joinBytes([pkcs8, fromBase64url(x!)!]));
  return signer;
}

async function twoServer(note: Note): Promise<void> {
  const random = fixedBytes('two servers');
  const { publicKey } = await keyAgreement();
  const secret = random(32);
  const helper = await publicKey(secret);
  const context = twoServerContext({
    ...{ run: 'r', round: 2, attempt: 1, operator: 'o', helper: toBase64url(helper) },
    ...{ minUpdates: 3, groupSize: 4, base: 'b', words: LENGTH, layout: 'l' },
  });
  const seed = random(32);
  const masked = vectorOf('tab');
  await addMask(masked, maskKeyOf(seed, context), 1);
  note('masked vector of two servers', new Uint8Array(masked.buffer));
  const submission = { owner: 'tab', update: digestBytes(new Uint8Array(masked.buffer)) };
  const sealed = await sealSeed(helper, context, submission, seed, random(32));
  note('sealed seed', sealed);
  note('signature', await (await fixedSigner('tab')).sign(signedBytes(context, submission, sealed)));
  const opened = await openSeed(secret, context, submission, sealed);
  note('seed as the helper opens it', opened ?? new Uint8Array(0));
}
