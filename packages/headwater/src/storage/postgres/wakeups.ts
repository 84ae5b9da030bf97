/**
 * Wakeups over LISTEN and NOTIFY. A commit with NOTIFY takes a lock of the whole database, so hints are gathered and sent
 * at most ten times a second; subscribers in this process hear at once. Lost hints are part of the contract.
 */

import { randomUUID } from 'node:crypto';
import type { Client } from 'pg';
import type { Timers } from '../../base/clock.ts';
import type { Wakeups } from '../store.ts';
import { localWakeups } from '../wakeups.ts';
import type { Database } from './database.ts';

const CHANNEL = 'headwater';
const GATHER_MS = 100;
const RECONNECT_MS = 1000;

export interface ClosableWakeups extends Wakeups {
  close(): Promise<void>;
}

export function postgresWakeups(
  database: Database,
  connect: (onLost: () => void) => Promise<Client>,
  timers: Timers,
): ClosableWakeups {
  const local = localWakeups();
  const subscribed = new Map<string, number>();
  const ear = openEar(connect, timers, (topic) => {
    for (const heard of topic === undefined ? subscribed.keys() : [topic]) void local.publish(heard);
  });
  const outbox = openOutbox(database, timers, ear.origin);
  return {
    async publish(topic) {
      await local.publish(topic);
      outbox.add(topic);
    },
    subscribe(topic, listener) {
      const stop = local.subscribe(topic, listener);
      count(subscribed, topic, 1);
      ear.open();
      let stopped = false;
      return () => {
        if (stopped) return;
        stopped = true;
        stop();
        count(subscribed, topic, -1);
      };
    },
    async close() {
      await Promise.all([ear.close(), outbox.close()]);
    },
  };
}

function count(counts: Map<string, number>, topic: string, change: number): void {
  const next = (counts.get(topic) ?? 0) + change;
  if (next > 0) counts.set(topic, next);
  else counts.delete(topic);
}

/** Sends at once when nothing was sent lately, else together with what comes within `GATHER_MS`. */
function openOutbox(database: Database, timers: Timers, origin: string) {
  const topics = new Set<string>();
  let cancel: (() => void) | undefined;
  let sending: Promise<void> = Promise.resolve();

  function flush(): void {
    cancel = undefined;
    if (topics.size === 0) return;
    const payloads = [...topics].map((topic) => `${origin} ${topic}`);
    topics.clear();
    cancel = timers.after(GATHER_MS, flush);
    sending = database
      .run('send a hint', (send) => send(`SELECT pg_notify('${CHANNEL}', unnest($1::text[]))`, [payloads]))
      .then(
        () => undefined,
        // Hints may be lost: whoever waits looks again.
        () => undefined,
      );
  }
  return {
    add(topic: string) {
      topics.add(topic);
      if (cancel === undefined) flush();
    },
    async close() {
      cancel?.();
      if (topics.size > 0) flush();
      cancel?.();
      await sending;
    },
  };
}

/** One connection that listens, opened with the first subscriber, opened again when it is lost. */
function openEar(
  connect: (onLost: () => void) => Promise<Client>,
  timers: Timers,
  hear: (topic: string | undefined) => void,
) {
  const origin = randomUUID();
  let state: 'idle' | 'open' | 'closed' = 'idle';
  let connection: Connection | undefined;
  let opening: Promise<void> = Promise.resolve();
  let cancel: (() => void) | undefined;

  function lost(what: Connection): void {
    if (state !== 'open' || what !== connection) return;
    connection = undefined;
    cancel = timers.after(RECONNECT_MS, begin);
  }
  function begin(): void {
    const fresh: Connection = { client: undefined };
    connection = fresh;
    opening = listen(fresh).catch(() => lost(fresh));
  }
  async function listen(fresh: Connection): Promise<void> {
    const client = await connect(() => lost(fresh));
    fresh.client = client;
    client.on('notification', ({ payload = '' }) => {
      const [from, topic] = split(payload);
      if (from !== origin) hear(topic);
    });
    await client.query(`LISTEN ${CHANNEL}`).catch(async (error: unknown) => {
      await client.end();
      throw error;
    });
    // Whatever came before is not heard any more: everybody looks once.
    hear(undefined);
  }
  return {
    origin,
    open() {
      if (state !== 'idle') return;
      state = 'open';
      begin();
    },
    async close() {
      state = 'closed';
      cancel?.();
      await opening;
      await connection?.client?.end();
    },
  };
}

interface Connection {
  client: Client | undefined;
}

function split(payload: string): [string, string] {
  const space = payload.indexOf(' ');
  return [payload.slice(0, space), payload.slice(space + 1)];
}
