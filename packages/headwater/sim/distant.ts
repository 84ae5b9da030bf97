/**
 * A store and blobs on another machine, as a database and a bucket are: every call goes there and back, may be lost on
 * either way, and ends with an error when the server dies. What the server holds is what the process over there has opened.
 */

import { HeadwaterError } from '../src/base/errors.ts';
import type { Rng } from '../src/base/random.ts';
import type { Blobs, Uploads } from '../src/storage/blobs.ts';
import type { Journal } from '../src/storage/journal.ts';
import type { Fence, Store } from '../src/storage/store.ts';
import { type Life, notice } from './life.ts';
import type { VirtualTime } from './virtual-time.ts';

/** A process that serves others; what it has opened dies with it. */
export interface Server<T> {
  readonly life: Life;
  readonly opened: T;
}

export interface LinkFaults {
  /** `request`: it never arrived; `answer`: it was carried out, and nobody heard of it. */
  lost(life: Life): 'request' | 'answer' | undefined;
  slowness(): number;
  /** How much later a request arrives, in milliseconds: it may be carried out long after nobody waits for it. */
  lateness(life: Life): number;
  /** May end the process that asks. */
  point(when: 'before' | 'after', name: string, life: Life): void;
}

export interface Link<T> {
  readonly life: Life;
  /** Carries `effect` out at the server that runs now. Rejects with CONNECTION_FAILED when no answer came. */
  ask<R>(name: string, effect: (opened: T, server: Life) => Promise<R>): Promise<R>;
  /** The process that serves now, for what has no answer. */
  current(): Server<T> | undefined;
  later(ms: number, act: () => void): void;
}

export function linkTo<T>(
  time: VirtualTime,
  random: Rng,
  life: Life,
  current: () => Server<T> | undefined,
  faults: () => LinkFaults,
): Link<T> {
  const delay = () => (0.1 + 0.4 * random.uniform()) * faults().slowness();
  const ask = <R>(name: string, effect: (opened: T, server: Life) => Promise<R>): Promise<R> =>
    new Promise((resolve, reject) => {
      if (!life.alive) return;
      faults().point('before', name, life);
      if (!life.alive) return;
      const settle = (act: () => void, ms: number) => time.after(ms, () => notice(time, life, act));
      const fail = () => settle(() => reject(unreachable()), delay() + random.uniform() * 3000);
      const lost = faults().lost(life);
      if (lost === 'request') return fail();
      time.after(delay() + faults().lateness(life), () => {
        const server = current();
        if (server?.life.alive !== true) return fail();
        const stop = server.life.onDeath(fail);
        void effect(server.opened, server.life)
          .finally(() => life.alive && faults().point('after', name, life))
          .then(
            (value) => (lost === 'answer' ? fail() : settle(() => resolve(value), delay())),
            (error) => (lost === 'answer' ? fail() : settle(() => reject(error), delay())),
          )
          .finally(stop);
      });
    });
  return { life, ask, current, later: (ms, act) => time.after(ms, () => notice(time, life, act)) };
}

function unreachable(): HeadwaterError {
  return new HeadwaterError('CONNECTION_FAILED', 'the store did not answer');
}

export function distantStore(link: Link<Store>): Store {
  const { ask } = link;
  return {
    journals: {
      open: (run, fence) => openDistant(link, run, fence),
      list: () => ask('journals.list', ({ journals }) => journals.list()),
      remove: (run) => ask('journals.remove', ({ journals }) => journals.remove(run)),
    },
    records: {
      get: (collection, key) => ask('records.get', ({ records }) => records.get(collection, key)),
      put: (collection, key, value, expected) =>
        ask('records.put', ({ records }) => records.put(collection, key, value, expected)),
      list: (collection, prefix) => ask('records.list', ({ records }) => records.list(collection, prefix)),
      delete: (collection, key) => ask('records.delete', ({ records }) => records.delete(collection, key)),
    },
    leases: {
      acquire: (key, holder, ttlMs) =>
        ask('leases.acquire', ({ leases }) => leases.acquire(key, holder, ttlMs)),
      renew: (fence, ttlMs) => ask('leases.renew', ({ leases }) => leases.renew(fence, ttlMs)),
      holds: (fence) => ask('leases.holds', ({ leases }) => leases.holds(fence)),
      release: (fence) => ask('leases.release', ({ leases }) => leases.release(fence)),
      holderOf: (key) => ask('leases.holderOf', ({ leases }) => leases.holderOf(key)),
    },
    tasks: {
      enqueue: (list) => ask('tasks.enqueue', ({ tasks }) => tasks.enqueue(list)),
      claim: (worker, kinds, max, ttlMs) =>
        ask('tasks.claim', ({ tasks }) => tasks.claim(worker, kinds, max, ttlMs)),
      heartbeat: (worker, ids, ttlMs) =>
        ask('tasks.heartbeat', ({ tasks }) => tasks.heartbeat(worker, ids, ttlMs)),
      finish: (id, result) => ask('tasks.finish', ({ tasks }) => tasks.finish(id, result)),
      fail: (id, reason, max) => ask('tasks.fail', ({ tasks }) => tasks.fail(id, reason, max)),
      results: (ids) => ask('tasks.results', ({ tasks }) => tasks.results(ids)),
      delete: (ids) => ask('tasks.delete', ({ tasks }) => tasks.delete(ids)),
    },
    wakeups: distantWakeups(link),
    close: async () => {},
  };
}

/** The handle over there dies with its server; the next call opens another. */
async function openDistant({ ask }: Link<Store>, run: string, fence: Fence | undefined): Promise<Journal> {
  let handle: { readonly server: Life; readonly journal: Promise<Journal> } | undefined;
  let lastSeq = 0;
  const use = <R>(name: string, effect: (journal: Journal) => Promise<R>) =>
    ask(`journal.${name}`, async (store, server) => {
      if (handle?.server !== server) handle = { server, journal: store.journals.open(run, fence) };
      const { journal } = handle;
      journal.catch(() => {
        if (handle?.journal === journal) handle = undefined;
      });
      return effect(await journal);
    });
  lastSeq = await use('open', async (journal) => journal.lastSeq);
  return {
    get lastSeq() {
      return lastSeq;
    },
    async append(events, expectedSeq) {
      lastSeq = await use('append', (journal) => journal.append(events, expectedSeq));
      return lastSeq;
    },
    readAll: () => use('readAll', (journal) => journal.readAll()),
    readAfter: (seq) => use('readAfter', (journal) => journal.readAfter(seq)),
    saveSnapshot: (snapshot) => use('saveSnapshot', (journal) => journal.saveSnapshot(snapshot)),
    loadSnapshot: () => use('loadSnapshot', (journal) => journal.loadSnapshot()),
    close: () => use('close', (journal) => journal.close()),
  };
}

/** Hints: sent without an answer; a listener loses its connection with the server and takes it up again later. */
function distantWakeups({ ask, current, life, later }: Link<Store>): Store['wakeups'] {
  return {
    publish: (topic) => ask('wakeups.publish', ({ wakeups }) => wakeups.publish(topic)),
    subscribe(topic, listener) {
      let wanted = true;
      let stop = () => {};
      const listen = () => {
        const server = current();
        if (!wanted) return;
        if (server?.life.alive !== true) return later(1000, listen);
        const heard = () => later(1, () => wanted && listener());
        stop = server.opened.wakeups.subscribe(topic, heard);
        server.life.onDeath(() => later(500, listen));
      };
      listen();
      const end = () => {
        wanted = false;
        stop();
      };
      life.onDeath(end);
      return end;
    },
  };
}

export function distantBlobs(link: Link<Blobs>): Blobs {
  const { ask } = link;
  return {
    put: (bytes) => ask('blobs.put', (blobs) => blobs.put(bytes)),
    async putStream(source) {
      const pieces = await collected(source);
      return ask('blobs.putStream', (blobs) => blobs.putStream(replayed(pieces)));
    },
    get: (digest) => ask('blobs.get', (blobs) => blobs.get(digest)),
    async *stream(digest, range) {
      for (const piece of await ask('blobs.stream', (blobs) => collected(blobs.stream(digest, range))))
        yield piece;
    },
    has: (digest) => ask('blobs.has', (blobs) => blobs.has(digest)),
    size: (digest) => ask('blobs.size', (blobs) => blobs.size(digest)),
    delete: (digest) => ask('blobs.delete', (blobs) => blobs.delete(digest)),
    list: () => ask('blobs.list', (blobs) => blobs.list()),
    uploads: distantUploads(link),
  };
}

function distantUploads({ ask }: Link<Blobs>): Uploads {
  return {
    open: (plan) => ask('uploads.open', ({ uploads }) => uploads.open(plan)),
    async putChunk(key, index, digest, source) {
      const pieces = await collected(source);
      return ask('uploads.putChunk', ({ uploads }) => uploads.putChunk(key, index, digest, replayed(pieces)));
    },
    seal: (plan) => ask('uploads.seal', ({ uploads }) => uploads.seal(plan)),
    drop: (key) => ask('uploads.drop', ({ uploads }) => uploads.drop(key)),
    list: () => ask('uploads.list', ({ uploads }) => uploads.list()),
  };
}

async function collected(source: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source) pieces.push(piece.slice());
  return pieces;
}

async function* replayed(pieces: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}
