import { afterEach, describe, expect, it } from 'vitest';
import {
  type ClientFolder,
  mapStore,
  RUN,
  runBoth,
  startWorld,
  tinyClient,
  type World,
} from '../../test/support/client-world.ts';
import { rejection } from '../../test/support/outcome.ts';
import { ed25519FromSeed, ed25519Verify } from '../base/ed25519-node.ts';
import type { RunEvent } from '../federation/events.ts';
import { entryHash, entryText } from '../federation/log/entry.ts';
import { signHead } from '../federation/log/head.ts';
import { createMerkleTree } from '../federation/log/merkle.ts';
import type { LogAnswer } from '../federation/wire/messages.ts';
import { openLogWatch } from './log-watch.ts';
import type { Session } from './session.ts';

const worlds: World[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close();
});

const soon = (_: number, fire: () => void) => {
  queueMicrotask(fire);
  return () => undefined;
};
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
const operator = ed25519FromSeed(new Uint8Array(32).fill(1));
const who = { operatorKey: operator.publicKey, owner: 'ann' };

const aggregated = (round: number, params: string) =>
  ({
    type: 'aggregated',
    round,
    params,
    membership: 'm',
    serverState: null,
    report: {},
  }) as unknown as RunEvent;
const received = (round: number, owner: string, update: string, ok = true) =>
  ({ type: 'update-received', round, owner, update, check: { ok } }) as unknown as RunEvent;
const [U1, U2, P1] = ['a1'.repeat(32), 'a2'.repeat(32), 'b1'.repeat(32)];

/** A coordinator that answers from a list of events that tests may change behind the client's back. */
function answering(events: RunEvent[], { signer = operator }: { signer?: typeof operator } = {}) {
  const asked: unknown[] = [];
  async function json(_: 'log', { query }: { query: { since: number; update?: string; params?: string } }) {
    asked.push(query);
    const tree = createMerkleTree();
    const texts = events.map((event, i) => entryText(i + 1, event, new Uint8Array(32), RUN));
    for (const text of texts) tree.append(entryHash(text));
    const { since, update, params } = query;
    const at = events.findIndex(
      (event) =>
        (event.type === 'update-received' && event.update === update) ||
        (event.type === 'aggregated' && event.params === params),
    );
    const head = await signHead(signer, RUN, { size: tree.size, root: tree.root() });
    const consistency = since > tree.size ? [] : tree.consistency(since).map(hex);
    const entry = at < 0 ? null : { text: texts[at]!, index: at, path: tree.inclusion(at).map(hex) };
    return { head, consistency, entry } satisfies LogAnswer;
  }
  const folder: ClientFolder = new Map();
  const parts = {
    store: mapStore(folder),
    verify: ed25519Verify,
    timers: { after: soon },
    entropy: (bytes: number) => new Uint8Array(bytes),
    onEvent: () => undefined,
  };
  const session = { parts, caller: { json }, run: RUN, signal: new AbortController().signal };
  return { session: session as unknown as Session, folder, asked };
}

describe('a client that watches the log', () => {
  it('takes a log that grows, its own accepted updates and releases that are in it', async () => {
    const events = [received(1, 'ann', U1), aggregated(1, P1)];
    const { session, asked } = answering(events);
    const watch = await openLogWatch(session, who);
    await watch.accepted(1, U1);
    await watch.proveUpdates();
    await watch.proveParams(P1);
    await watch.proveParams(P1);
    expect(asked).toHaveLength(3);
    events.push(received(2, 'bob', U2));
    await openLogWatch(session, who);
    expect(asked.at(-1)).toEqual({ since: 2 });
  });

  it('stops at a log with another past, and keeps both signed heads', async () => {
    const events = [received(1, 'bob', U2), received(1, 'ann', U1), aggregated(1, P1)];
    const { session, folder } = answering(events);
    await openLogWatch(session, who);
    events[0] = received(1, 'bob', U2, false);
    events.push(aggregated(2, U2));
    const error = await rejection(openLogWatch(session, who));
    expect(error.code).toBe('LOG_FORKED');
    const evidence = JSON.parse(Buffer.from(folder.get('fork')!).toString());
    expect([evidence.seen.size, evidence.got.size]).toEqual([3, 4]);
  });

  it('stops at a log that lost entries', async () => {
    const events = [received(1, 'ann', U1), aggregated(1, P1)];
    const { session, asked } = answering(events);
    await openLogWatch(session, who);
    events.pop();
    expect((await rejection(openLogWatch(session, who))).message).toContain(
      'it has 1 entries, and had 2 before',
    );
    // Not at once: a process that does not lead any more may have answered.
    expect(asked).toHaveLength(7);
  });

  it.each([
    ['is not in it', [received(1, 'bob', U2)]],
    ['is in it as another’s', [received(1, 'bob', U1)]],
    ['is in it as refused', [received(1, 'ann', U1, false)]],
    ['is in it for another round', [received(2, 'ann', U1)]],
  ])('stops when its accepted update %s, also after a restart', async (_, events) => {
    const { session } = answering([...events]);
    const watch = await openLogWatch(session, who);
    await watch.accepted(1, U1);
    expect((await rejection(watch.proveUpdates())).code).toBe('LOG_FORKED');
    expect((await rejection(openLogWatch(session, who))).message).toContain('for round 1');
  });

  it('stops at params that were never released, and at a head that another key signed', async () => {
    const { session } = answering([received(1, 'ann', U1), aggregated(1, P1)]);
    const watch = await openLogWatch(session, who);
    expect((await rejection(watch.proveParams(U2))).message).toContain('was given');
    const other = answering([aggregated(1, P1)], { signer: ed25519FromSeed(new Uint8Array(32).fill(2)) });
    expect((await rejection(openLogWatch(other.session, who))).message).toContain(
      'not signed by the operator',
    );
  });
});

describe('with a real coordinator', () => {
  it('every client ends with a head of the whole journal and nothing unproven', async () => {
    const world = await startWorld();
    worlds.push(world);
    const folder: ClientFolder = new Map();
    await runBoth(world, { folder });
    const seen = JSON.parse(Buffer.from(folder.get('log')!).toString());
    const page = await world.coordinator.operator.log(RUN, 0, 1000);
    expect(seen.unproven).toEqual([]);
    expect(seen.head.size).toBeGreaterThan(8);
    expect(page.head.size).toBe((await world.coordinator.operator.events(RUN, 0)).length);
    expect(page.entries).toHaveLength(page.head.size);
    expect(JSON.stringify(page.entries)).not.toMatch(/loss|Loss|stats/);
  });

  it('a log that is not the one that a client saw stops it', async () => {
    const folder: ClientFolder = new Map();
    const first = await startWorld();
    worlds.push(first);
    await runBoth(first, { folder });
    // What the client saw, longer than what the log has: a store from before.
    const seen = JSON.parse(Buffer.from(folder.get('log')!).toString());
    const forged = { ...seen, head: { ...seen.head, root: U1 } };
    folder.set('log', Buffer.from(JSON.stringify(forged)));
    expect((await rejection(tinyClient(first, { owner: 'ann', folder }))).code).toBe('LOG_FORKED');
  });
});
