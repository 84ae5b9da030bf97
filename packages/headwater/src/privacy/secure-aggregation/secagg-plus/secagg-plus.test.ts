import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { toBase64url } from '../../../base/base64url.ts';
import { ed25519FromSeed, ed25519Verify } from '../../../base/ed25519-node.ts';
import { rng, shuffled } from '../../../base/random.ts';
import { addWords, bytesOfWords } from '../words.ts';
import { type Reached, runAttempt } from './attempt.ts';
import { advertise, confirmSurvivors, type Identity, maskInput, shareKeys } from './client.ts';
import type { Advertised, ClientState, Confirmed, Masked, Shared } from './client-state.ts';
import { type Drop, localMember } from './local-member.ts';
import { answer, type MemberParts, type Told } from './member.ts';
import {
  type Advert,
  type Attempt,
  advertBytes,
  attemptContext,
  type Confirmation,
  type SealedShares,
} from './messages.ts';
import {
  checkNewAdvert,
  checkShares,
  confirmationsFor,
  sharesFor,
  survivorSets,
  withEnoughHolders,
  withoutEnoughHolders,
} from './server.ts';
import { openSession, type Session } from './session.ts';
import { openMasks } from './unmask.ts';

const entropy = (bytes: number) => new Uint8Array(randomBytes(bytes));
const names = (count: number) => Array.from({ length: count }, (_, i) => `o${String(i).padStart(2, '0')}`);
const identityOf = (i: number) => ed25519FromSeed(new Uint8Array(32).fill(i + 1));

function attemptOf(count: number, length: number, change: Partial<Attempt> = {}): Attempt {
  const roster = names(count).map((owner, i) => ({ owner, identity: toBase64url(identityOf(i).publicKey) }));
  const assumed = { adversaries: 0.1, dropouts: 0.2 };
  return { run: 'r', round: 1, attempt: 1, length, layout: 'l', minOwners: 3, assumed, roster, ...change };
}

function partsOf(i: number, vector: Uint32Array, identity: Identity = identityOf(i)): MemberParts {
  return { identity, verify: ed25519Verify, entropy, input: async () => vector };
}

const STEPS: readonly Drop[] = ['advertise', 'share', 'mask', 'confirm', 'unmask'];

/** Who drops where, by member; what came out, and what should have. */
async function trial(attempt: Attempt, drops: readonly Drop[], seed: number) {
  const vectors = drops.map((_, i) => {
    const random = rng(seed, i);
    return Uint32Array.from({ length: attempt.length }, () => random.uint32());
  });
  const members = new Map<string, Reached>(
    attempt.roster.map(({ owner }, i) => [
      owner,
      localMember(attempt, owner, partsOf(i, vectors[i]!), drops[i]),
    ]),
  );
  const outcome = await runAttempt(attempt, members, ed25519Verify);
  const expected = new Uint32Array(attempt.length);
  for (const [i, drop] of drops.entries())
    if (drop === undefined || drop === 'confirm' || drop === 'unmask') addWords(expected, vectors[i]!);
  return { outcome, expected };
}

describe('the sum of those who sent a vector', () => {
  it('is exact, or there is none, for any dropouts: few members, complete graph', async () => {
    const stay: Drop = undefined;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom(stay, stay, stay, ...STEPS), { minLength: 3, maxLength: 9 }),
        fc.integer({ min: 1, max: 40 }),
        fc.nat(),
        async (drops, length, seed) => {
          const { outcome, expected } = await trial(attemptOf(drops.length, length), drops, seed);
          const n = drops.filter((drop) => drop !== 'advertise').length;
          const threshold = Math.max(2, Math.floor((2 * n) / 3) + 1);
          const toTheEnd = drops.filter((drop) => drop === undefined).length;
          if (toTheEnd >= Math.max(threshold, 3) && n >= 3) expect(outcome.sum).toEqual(expected);
          else expect(outcome).toEqual({ sum: undefined, reason: expect.stringMatching(/must|too few/) });
        },
      ),
      { numRuns: 16, seed: 11 },
    );
  });

  it('in groups is exact as long as each keeps its least size, and nobody is tied to another group', async () => {
    const attempt = attemptOf(13, 11, { minOwners: 9, groupSize: 3 });
    const whole = await trial(
      attempt,
      names(13).map(() => undefined),
      5,
    );
    expect(whole.outcome.sum).toEqual(whole.expected);
    const adverts = await Promise.all(
      names(13).map(async (owner, i) => (await advertise(attempt, owner, identityOf(i), entropy)).message),
    );
    const { graph } = await openSession(attempt, adverts);
    expect(graph.groups.map(({ length }) => length).sort()).toEqual([4, 4, 5]);
    expect(graph.groups.flat().sort()).toEqual(names(13));
    for (const group of graph.groups)
      for (const member of group) {
        expect([member, ...graph.neighbours(member)].sort()).toEqual(group);
        expect(graph.threshold(member)).toBeLessThanOrEqual(graph.holders(member).length);
      }
    // Nine are as many as a sum of all must have, but of groups of four and five one or another has lost two.
    const few = names(13).map((_, i): Drop => (i < 4 ? 'mask' : undefined));
    const { outcome } = await trial(attempt, few, 6);
    expect(outcome).toEqual({ sum: undefined, reason: expect.stringMatching(/too few|fewer members/) });
  });

  it('is exact in a Harary graph, with dropouts at every step; a lost neighbourhood is noticed', async () => {
    const attempt = attemptOf(33, 500);
    const drops: Drop[] = names(33).map(() => undefined);
    for (const [at, i] of shuffled([...drops.keys()], rng(5))
      .slice(0, 5)
      .entries())
      drops[i] = STEPS[at];
    const { outcome, expected } = await trial(attempt, drops, 5);
    expect(outcome.sum).toEqual(expected);
    const adverts: Advert[] = [];
    for (const [i, owner] of names(33).entries())
      adverts.push((await advertise(attempt, owner, identityOf(i), entropy)).message);
    const session = await openSession(attempt, adverts);
    const [first] = session.members;
    const around = session.graph.neighbours(first!);
    const left = session.members.filter((name) => !around.slice(0, 7).includes(name));
    expect(session.graph.threshold(first!)).toBe(around.length - 6);
    expect(withoutEnoughHolders(session, session.members, left)).toContain(first);
    expect(withEnoughHolders(session, left)).not.toContain(first);
    expect(withoutEnoughHolders(session, [first!], [...left, around[0]!])).toEqual([]);
  });
});

/** Five members at step 3, and everything that was said. */
interface Stage {
  readonly attempt: Attempt;
  readonly session: Session;
  readonly adverts: readonly Advert[];
  readonly shares: Readonly<Record<string, SealedShares>>;
  readonly states: {
    readonly advertised: Advertised[];
    readonly shared: Shared[];
    readonly masked: Masked[];
  };
  readonly vectors: readonly Uint32Array[];
}

const [N, D] = [5, 16_384];

async function stageOf(attempt: Attempt, input: Uint32Array): Promise<Stage> {
  const advertised: Advertised[] = [];
  for (const [i, owner] of names(N).entries())
    advertised.push((await advertise(attempt, owner, identityOf(i), entropy)).state);
  const adverts = advertised.map(({ advert }) => advert);
  const session = await openSession(attempt, adverts);
  const shared: Shared[] = [];
  for (const state of advertised)
    shared.push((await shareKeys(state, adverts, ed25519Verify, entropy)).state);
  const shares = Object.fromEntries(shared.map(({ owner, message }) => [owner, message]));
  const masked: Masked[] = [];
  const vectors: Uint32Array[] = [];
  for (const state of shared) {
    const taken = await maskInput(state, sharesFor(session, state.owner, names(N), shares), input);
    masked.push(taken.state);
    vectors.push(taken.message);
  }
  return { attempt, session, adverts, shares, states: { advertised, shared, masked }, vectors };
}

describe('a masked vector', () => {
  it('looks uniform whatever is masked, alone and in sums of some; bytes χ², bits', async () => {
    for (const word of [0, 0x7fffffff]) {
      const { vectors } = await stageOf(attemptOf(N, D), new Uint32Array(D).fill(word));
      const two = new Uint32Array(vectors[0]!);
      addWords(two, vectors[1]!);
      for (const vector of [...vectors, two]) {
        const bytes = bytesOfWords(new Uint32Array(vector));
        const counts = new Float64Array(256);
        for (const byte of bytes) counts[byte]! += 1;
        const mean = bytes.length / 256;
        const chi = counts.reduce((sum, count) => sum + (count - mean) ** 2 / mean, 0);
        expect(Math.abs(chi - 255)).toBeLessThan(6 * Math.sqrt(510));
        const ones = bytes.reduce((sum, byte) => sum + byte.toString(2).replaceAll('0', '').length, 0);
        expect(Math.abs(ones - 4 * bytes.length)).toBeLessThan(6 * Math.sqrt(2 * bytes.length));
      }
    }
  });

  it('wraps around: ± (2³¹ − 1) add up as they should, and pairs of masks cancel', async () => {
    const attempt = attemptOf(3, 2);
    const vectors = [Uint32Array.of(0x7fffffff, 0x80000001), Uint32Array.of(0x7fffffff, 0x80000001)];
    const third = Uint32Array.of(0x80000001, 0x7fffffff);
    const members = new Map<string, Reached>(
      names(3).map((owner, i) => [owner, localMember(attempt, owner, partsOf(i, vectors[i] ?? third))]),
    );
    const outcome = await runAttempt(attempt, members, ed25519Verify);
    expect([...new Int32Array(outcome.sum!)]).toEqual([2 ** 31 - 1, 1 - 2 ** 31]);
  });
});

describe('a server that cheats', () => {
  let stage: Stage;
  const input = new Uint32Array(D).fill(5);
  beforeAll(async () => {
    stage = await stageOf(attemptOf(N, D), input);
  });
  const tell = (state: ClientState, told: Told, i = 0) => answer(state, told, partsOf(i, input));
  const all = names(N);

  async function confirmed(survivors: readonly string[], i: number): Promise<Confirmed> {
    const sets = survivorSets(all, new Set(survivors));
    return (await confirmSurvivors(stage.states.masked[i]!, sets, identityOf(i))).state;
  }

  it('SA-MAL-1 lists a peer among survivors and dropped, or other impossible sets', async () => {
    const [first] = stage.states.masked;
    const refused = async (survivors: string[], dropped: string[], reason = 'bad-sets') =>
      expect(tell(first!, { step: 'confirm', survivors, dropped })).rejects.toThrow(reason);
    await refused(all, ['o03']);
    await refused(all.slice(0, 4), []);
    await refused([...all, 'o09'], []);
    await refused(['o01', 'o00', 'o02', 'o03'], ['o04']);
    await refused(['o00', 'o01', 'o01', 'o02', 'o03'], ['o04']);
    await refused(all.slice(1), ['o00'], 'not-a-survivor');
    await refused(all.slice(0, 2), all.slice(2), 'too-few-members');
    await refused(all.slice(0, 3), all.slice(3), 'neighbourhood-size');
  });

  it('SA-MAL-2 asks again with other survivors: the same answer, or none', async () => {
    const states = await Promise.all(all.map((_, i) => confirmed(all.slice(0, 4), i).catch(() => undefined)));
    const confirmations = states
      .flatMap((state) => state ?? [])
      .map(({ owner, signature }) => ({ owner, signature }));
    const others = { step: 'confirm', survivors: all, dropped: [] } as const;
    await expect(tell(states[0]!, others)).rejects.toThrow('wrong-step');
    const told: Told = {
      step: 'unmask',
      confirmations: confirmationsFor(stage.session, 'o00', confirmations),
    };
    const once = await tell(states[0]!, told);
    const said = once.said as Extract<typeof once.said, { step: 'unmask' }>;
    expect(said.message.seeds.map(({ of }) => of)).toEqual(all.slice(0, 4));
    expect(said.message.keys.map(({ of }) => of)).toEqual(['o04']);
    await expect(tell(once.state, others)).rejects.toThrow('wrong-step');
    expect((await tell(once.state, told)).said).toEqual(once.said);
    const text = JSON.stringify(once.state);
    for (const secret of [states[0]!.channelSecret, states[0]!.maskSecret, states[0]!.seed])
      expect(text).not.toContain(secret);
  });

  it('SA-MAL-3 replays keys of another round or attempt', async () => {
    for (const change of [{ round: 2 }, { attempt: 2 }, { run: 'other' }, { length: D + 1 }]) {
      const attempt = attemptOf(N, D, change);
      const { state } = await advertise(attempt, 'o00', identityOf(0), entropy);
      const replayed = [state.advert, ...stage.adverts.slice(1)];
      await expect(tell(state, { step: 'share', adverts: replayed })).rejects.toThrow('bad-signature');
      await expect(tell(state, { step: 'share', adverts: stage.adverts })).rejects.toThrow('own-keys');
    }
  });

  it('SA-MAL-4 swaps or replaces keys of others or our own', async () => {
    const [first] = stage.states.advertised;
    const [a, b, c, ...rest] = stage.adverts as [Advert, Advert, Advert, ...Advert[]];
    const refused = (adverts: readonly Advert[], reason: string) =>
      expect(tell(first!, { step: 'share', adverts })).rejects.toThrow(reason);
    await refused([a, { ...b, maskKey: c.maskKey }, { ...c, maskKey: b.maskKey }, ...rest], 'bad-signature');
    await refused([a, { ...c, owner: 'o01' }, { ...b, owner: 'o02' }, ...rest], 'bad-signature');
    await refused([{ ...a, maskKey: b.maskKey }, b, c, ...rest], 'own-keys');
    await refused([b, c, ...rest], 'own-keys');
    await refused([a, a, b, c, ...rest], 'bad-sets');
    await refused([a, { ...b, channelKey: a.channelKey }, c, ...rest], 'repeated-key');
    await refused([a, b, c, ...rest, { ...c, owner: 'o77' }], 'repeated-key');
    const stranger = await advertise(attemptOf(6, D), 'o05', identityOf(5), entropy);
    await refused([a, b, c, ...rest, stranger.message], 'roster-mismatch');
    await refused([a, b, c, ...rest].slice(0, 2), 'too-few-members');
  });

  it('SA-MAL-5 passes keys of low order on: nobody takes them, members or server', async () => {
    for (const low of [0, 1]) {
      const key = new Uint8Array(32);
      key[0] = low;
      const honest = stage.adverts[4]!;
      const message = advertBytes(
        attemptContext(stage.attempt),
        key,
        Buffer.from(honest.maskKey, 'base64url'),
      );
      const signature = toBase64url(await identityOf(4).sign(message));
      const bad: Advert = { ...honest, channelKey: toBase64url(key), signature };
      const adverts = [...stage.adverts.slice(0, 4), bad];
      await expect(tell(stage.states.advertised[0]!, { step: 'share', adverts })).rejects.toThrow('bad-key');
      const others = stage.adverts.slice(0, 4);
      await expect(checkNewAdvert(stage.attempt, others, bad, ed25519Verify)).rejects.toThrow('bad-key');
      await expect(checkNewAdvert(stage.attempt, others, honest, ed25519Verify)).resolves.toBeUndefined();
    }
  });

  it('SA-MAL-6 shrinks the neighbourhood, withholds, invents or changes shares', async () => {
    const [first] = stage.states.shared;
    const honest = sharesFor(stage.session, 'o00', all, stage.shares);
    const refused = (change: Partial<typeof honest>, reason: string) =>
      expect(tell(first!, { step: 'mask', ...honest, ...change })).rejects.toThrow(reason);
    const three = sharesFor(stage.session, 'o00', all.slice(0, 3), stage.shares);
    await refused(three, 'neighbourhood-size');
    await refused({ members: all.slice(1) }, 'own-keys');
    await refused({ members: [...all, 'o08'] }, 'bad-sets');
    await refused({ sealed: honest.sealed.slice(1) }, 'missing-share');
    await refused({ members: all.slice(0, 4) }, 'unexpected-share');
    await refused({ sealed: [honest.sealed[0]!, ...honest.sealed] }, 'unexpected-share');
    const [one, two, ...others] = honest.sealed as [
      { from: string; share: string },
      { from: string; share: string },
    ];
    const swapped = [{ ...one, share: two.share }, { ...two, share: one.share }, ...others];
    await refused({ sealed: swapped }, 'bad-share');
    await refused({ sealed: [{ ...one, share: 'AAAA' }, two, ...others] }, 'bad-share');
    // Told of another U1, a member seals for another session.
    const few = stage.adverts.slice(0, 4);
    const other = await shareKeys(stage.states.advertised[1]!, few, ed25519Verify, entropy);
    const split = other.message.sealed.find(({ to }) => to === 'o00')!.share;
    await refused({ sealed: [{ from: 'o01', share: split }, two, ...others] }, 'bad-share');
  });

  it('SA-MAL-7 tells members of different survivors: nobody unmasks', async () => {
    const here = [await confirmed(all, 0), await confirmed(all, 1)];
    const there = [await confirmed(all.slice(0, 4), 2), await confirmed(all.slice(0, 4), 3)];
    const said = [...here, ...there].map(({ owner, signature }): Confirmation => ({ owner, signature }));
    for (const [i, state] of [...here, ...there].entries()) {
      const forged = { owner: 'o04', signature: said[i]!.signature };
      const own = { owner: all[i]!, signature: said[i]!.signature };
      const confirmations = [...said, forged, own, own];
      await expect(tell(state, { step: 'unmask', confirmations }, i)).rejects.toThrow(
        'inconsistent-survivors',
      );
    }
  });

  it('asks out of turn', async () => {
    const { advertised, shared, masked } = stage.states;
    const unmask: Told = { step: 'unmask', confirmations: [] };
    for (const state of [advertised[0]!, shared[0]!, masked[0]!])
      await expect(tell(state, unmask)).rejects.toThrow('wrong-step');
    const again = await tell(shared[0]!, { step: 'share', adverts: stage.adverts });
    expect(again.said).toEqual({ step: 'share', message: shared[0]!.message });
    const others = { step: 'share', adverts: stage.adverts.slice(0, 4) } as const;
    await expect(tell(shared[0]!, others)).rejects.toThrow('wrong-step');
  });

  it('is believed no roster without us, with one key twice, or too small', async () => {
    const enter = (attempt: Attempt) => advertise(attempt, 'o00', identityOf(0), entropy);
    const { roster } = stage.attempt;
    await expect(enter(attemptOf(N, D, { roster: roster.slice(1) }))).rejects.toThrow('roster-mismatch');
    await expect(enter(attemptOf(N, D, { minOwners: 6 }))).rejects.toThrow('too-few-members');
    const twice = [...roster.slice(0, 4), { owner: 'o04', identity: roster[3]!.identity }];
    await expect(enter(attemptOf(N, D, { roster: twice }))).rejects.toThrow('repeated-key');
  });
});

describe('members that cheat', () => {
  it('a wrong share is found by the commitment and its holder named; too many and there is no sum', async () => {
    const stage = await stageOf(attemptOf(N, 4), new Uint32Array(4).fill(9));
    const all = names(N);
    const sets = survivorSets(all, new Set(all));
    const states = await Promise.all(
      stage.states.masked.map(async (state, i) => (await confirmSurvivors(state, sets, identityOf(i))).state),
    );
    const confirmations = states.map(({ owner, signature }) => ({ owner, signature }));
    const unmaskings = Object.fromEntries(
      await Promise.all(
        states.map(async (state, i) => {
          const told: Told = { step: 'unmask', confirmations };
          const { said } = await answer(state, told, partsOf(i, new Uint32Array(4)));
          return [state.owner, structuredClone((said as { message: unknown }).message)] as const;
        }),
      ),
    ) as Record<string, { seeds: { of: string; share: string }[]; keys: never[] }>;
    const { session, shares } = stage;
    const spoil = (holder: string) => {
      const share = unmaskings[holder]!.seeds.find(({ of }) => of === 'o01')!;
      share.share =
        `B${share.share.slice(1)}` === share.share ? `C${share.share.slice(1)}` : `B${share.share.slice(1)}`;
    };
    spoil('o03');
    const opened = await openMasks(session, { sets, shares, unmaskings });
    expect(opened).toMatchObject({ blamed: [{ of: 'o01', holders: ['o03'] }] });
    expect(opened.masks).toHaveLength(N);
    spoil('o02');
    expect(await openMasks(session, { sets, shares, unmaskings })).toEqual({
      masks: undefined,
      missing: ['o01'],
    });
    const bad = { ...shares.o00!, sealed: shares.o00!.sealed.slice(1) };
    expect(() => checkShares(session, 'o00', bad)).toThrow('missing-share');
  });
});
