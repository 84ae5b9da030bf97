import { beforeAll, describe, expect, it } from 'vitest';
import { fromBase64url, toBase64url } from '../base/base64url.ts';
import { canonicalJson, digestBytes } from '../base/canonical.ts';
import { ed25519FromSeed, ed25519Verify } from '../base/ed25519-node.ts';
import { groupsOf } from '../federation/masking/groups.ts';
import { setDigest, type UnmaskOrderMessage } from '../federation/wire/helper.ts';
import { addMask } from '../privacy/secure-aggregation/mask-stream.ts';
import {
  maskKeyOf,
  sealSeed,
  signedBytes,
  twoServerContext,
} from '../privacy/secure-aggregation/two-server/envelope.ts';
import { memoryStore } from '../storage/memory.ts';
import type { Records } from '../storage/store.ts';
import { createHelper, type HelperAnswer, type HelperParts } from './core.ts';
import { openHelperKey } from './open-key.ts';

const WORDS = 1000;
const digest = (text: string) => digestBytes(new TextEncoder().encode(text));
const seedOf = (owner: string) =>
  fromBase64url(toBase64url(new Uint8Array(Buffer.from(digest(owner), 'hex'))))!;
const signerOf = (owner: string) => ed25519FromSeed(seedOf(`${owner} key`));
const OPERATOR = signerOf('operator');

let records: Records;
let key: Awaited<ReturnType<typeof openHelperKey>>;
beforeAll(async () => {
  records = memoryStore().records;
  key = await openHelperKey(records, () => seedOf('helper'));
});

const helper = (change: Partial<HelperParts> = {}) =>
  createHelper({ records, ...key, verify: ed25519Verify, minUpdates: 3, members: undefined, ...change });

function contextOf(change: Partial<UnmaskOrderMessage['context']> = {}): UnmaskOrderMessage['context'] {
  return {
    ...{ run: 'demo', round: 1, attempt: 1, minUpdates: 3, groupSize: null, words: WORDS },
    ...{ operator: toBase64url(OPERATOR.publicKey), helper: toBase64url(key.publicKey) },
    ...{ base: digest('base'), layout: digest('layout') },
    ...change,
  };
}

type Member = UnmaskOrderMessage['members'][number];

async function memberOf(owner: string, context: UnmaskOrderMessage['context']): Promise<Member> {
  const bound = twoServerContext(context);
  const submission = { owner, update: digest(`update of ${owner}`) };
  const sealed = await sealSeed(key.publicKey, bound, submission, seedOf(owner), seedOf(`${owner} once`));
  const signer = signerOf(owner);
  const signature = await signer.sign(signedBytes(bound, submission, sealed));
  const publicKey = toBase64url(signer.publicKey);
  return { ...submission, publicKey, sealed: toBase64url(sealed), signature: toBase64url(signature) };
}

async function ask(
  owners: readonly string[],
  change: {
    readonly context?: Partial<UnmaskOrderMessage['context']>;
    /** What the coordinator claims instead. */
    readonly claimed?: Partial<UnmaskOrderMessage['context']>;
    readonly bend?: (members: Member[]) => Member[];
    readonly signer?: typeof OPERATOR;
    readonly parts?: Partial<HelperParts>;
  } = {},
): Promise<HelperAnswer> {
  const context = contextOf(change.context);
  const made = await Promise.all(owners.map((owner) => memberOf(owner, context)));
  const members = change.bend?.(made) ?? made;
  const text = canonicalJson({ context: { ...context, ...change.claimed }, members });
  const signature = await (change.signer ?? OPERATOR).sign(new TextEncoder().encode(text));
  return helper(change.parts).unmask({ text, signature: toBase64url(signature) });
}

async function wordsOf(answer: HelperAnswer): Promise<Uint32Array> {
  if (answer.kind === 'refused') throw new Error(answer.body.error.message);
  const pieces: Uint8Array[] = [];
  for await (const piece of answer.sums) pieces.push(piece.slice());
  const bytes = Buffer.concat(pieces);
  expect(bytes.byteLength).toBe(answer.bytes);
  return new Uint32Array(new Uint8Array(bytes).buffer);
}

async function masksOf(owners: readonly string[], context = contextOf()): Promise<Uint32Array> {
  const words = new Uint32Array(WORDS);
  for (const owner of owners) await addMask(words, maskKeyOf(seedOf(owner), twoServerContext(context)), 1);
  return words;
}

const THREE = ['ann', 'ben', 'cid'];

describe('the helper', () => {
  it('opens the sum of the masks, and the same again to whoever lost it', async () => {
    expect(await wordsOf(await ask(THREE))).toEqual(await masksOf(THREE));
    expect(await wordsOf(await ask(THREE))).toEqual(await masksOf(THREE));
  });

  it('opens no second set of a round, not after a restart, not as another attempt', async () => {
    await ask(THREE, { context: { round: 2 } });
    for (const context of [{ round: 2 }, { round: 2, attempt: 2 }]) {
      const answer = await ask([...THREE, 'dan'], { context });
      expect(answer).toMatchObject({ kind: 'refused', body: { error: { code: 'other-set' } } });
    }
    const asBefore = await ask(THREE, { context: { round: 2, attempt: 2 } });
    expect(asBefore).toMatchObject({ kind: 'refused', body: { error: { code: 'other-set' } } });
  });

  it('opens groups one behind the other, each of at least the least', async () => {
    const context = { round: 3, groupSize: 3 };
    const owners = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    const words = await wordsOf(await ask(owners, { context }));
    expect(words.length).toBe(2 * WORDS);
    const whole = words.slice(0, WORDS).map((word, i) => word + words[WORDS + i]!);
    expect(whole).toEqual(await masksOf(owners, contextOf(context)));
    const again = await ask(owners, { context });
    const { draw, order } = again as Extract<HelperAnswer, { kind: 'opened' }>;
    const [first] = groupsOf(owners.length, 3, draw);
    const inFirst = first!.map((place) => owners[place]!);
    expect(words.slice(0, WORDS)).toEqual(await masksOf(inFirst, contextOf(context)));
    // The set alone tells nobody who stands with whom.
    expect(draw).not.toBe(setDigest(order));
    const small = await ask(owners, { context: { round: 4, groupSize: 2 } });
    expect(small).toMatchObject({ kind: 'refused', body: { error: { code: 'too-few' } } });
    // Fewer than a group, though as many as a sum must have.
    const lone = await ask(THREE, { context: { round: 4, groupSize: 4 } });
    expect(lone).toMatchObject({ kind: 'refused', body: { error: { code: 'too-few' } } });
  });

  it('names whose seeds it cannot open, and forgets that it was asked', async () => {
    const context = { round: 5 };
    const bend = (members: Member[]) => {
      const [ann, ben, ...rest] = members as [Member, Member, ...Member[]];
      return [{ ...ann, update: digest('other') }, { ...ben, sealed: rest[0]!.sealed }, ...rest];
    };
    const answer = await ask([...THREE, 'dan', 'eve'], { context, bend });
    expect(answer).toMatchObject({
      kind: 'refused',
      body: { error: { code: 'bad-members', owners: ['ann', 'ben'] } },
    });
    expect(await wordsOf(await ask(['cid', 'dan', 'eve'], { context }))).toEqual(
      await masksOf(['cid', 'dan', 'eve'], contextOf(context)),
    );
  });

  it('believes no coordinator about the least number of updates', async () => {
    expect(await ask(['ann', 'ben'])).toMatchObject({ body: { error: { code: 'too-few' } } });
    const context = { round: 6, minUpdates: 5 };
    expect(await ask([...THREE, 'dan'], { context })).toMatchObject({ body: { error: { code: 'too-few' } } });
    // Said to be fewer than what the owners agreed to: then it is another context, and nothing opens.
    const lied = await ask([...THREE, 'dan'], { context, claimed: { minUpdates: 3 } });
    expect(lied).toMatchObject({ body: { error: { code: 'bad-members' } } });
  });

  it('counts nobody twice, and only those whose keys it knows', async () => {
    const context = { round: 7 };
    const twice = (members: Member[]) => [...members, members[0]!];
    expect(await ask(THREE, { context, bend: twice })).toMatchObject({
      body: { error: { code: 'twice-there' } },
    });
    const keys = THREE.slice(1).map((owner) => [owner, toBase64url(signerOf(owner).publicKey)] as const);
    const parts = { members: new Map(keys) };
    const stranger = await ask(THREE, { context, parts });
    expect(stranger).toMatchObject({ body: { error: { code: 'bad-members', owners: ['ann'] } } });
    // A round that was opened with her is opened again for whoever lost it.
    expect(await ask(THREE, { context, parts: {} })).toMatchObject({ kind: 'opened' });
    expect(await ask(THREE, { context, parts })).toMatchObject({ kind: 'opened' });
  });

  it('answers the operator whom the owners agreed to, about itself', async () => {
    const context = { round: 8 };
    expect(await ask(THREE, { context, signer: signerOf('eve') })).toMatchObject({
      body: { error: { code: 'not-signed' } },
    });
    const other = { operator: toBase64url(signerOf('eve').publicKey) };
    const posing = await ask(THREE, { context, claimed: other, signer: signerOf('eve') });
    expect(posing).toMatchObject({ body: { error: { code: 'bad-members' } } });
    const elsewhere = { helper: toBase64url(seedOf('other helper')) };
    expect(await ask(THREE, { context, claimed: elsewhere })).toMatchObject({
      body: { error: { code: 'other-helper' } },
    });
  });
});
