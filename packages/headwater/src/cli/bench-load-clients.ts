/** A process with thousands of light clients for `bench load`, each with a key and a connection of its own. */

import { randomBytes } from 'node:crypto';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { systemClock, systemTimers } from '../base/clock.ts';
import { ed25519FromSeed } from '../base/ed25519-node.ts';
import { messageOf } from '../base/errors.ts';
import { readBody } from '../client/body.ts';
import { Unanswered } from '../client/failures.ts';
import { nodeHasher } from '../client/hasher-node.ts';
import { httpTransport } from '../client/http-transport-node.ts';
import type { TrainTask } from '../client/ports.ts';
import { parseJoinToken } from '../federation/wire/join-token.ts';
import { enterLightClient, type LightParts, type Sample } from './bench-light-client.ts';
import { lightUpdates, type MakeUpdate } from './bench-light-updates.ts';
import type { Lag } from './bench-rounds-coordinator.ts';

export interface LoadOrder {
  readonly url: string;
  readonly tokens: readonly string[];
  /** How many join at once. */
  readonly wave: number;
  /** A training takes a random time up to this. */
  readonly trainingMs: number;
}

export type LoadReport =
  | { readonly type: 'entered'; readonly tookMs: number }
  | {
      readonly type: 'played';
      readonly samples: readonly Sample[];
      /** Refusals and broken requests, by route and reason; they were repeated. */
      readonly failures: Readonly<Record<string, number>>;
      /** Updates that counted. */
      readonly counted: number;
      /** Clients that gave up, and why the first did. */
      readonly lost: number;
      readonly firstLoss: string | null;
      readonly lag: Lag;
    };

const stopwatch = { nowMs: () => performance.timeOrigin + performance.now() };
/** Numbers of updates differ by client and round. */
const MAX_ROUNDS = 256;

async function play({ url, tokens, wave, trainingMs }: LoadOrder): Promise<void> {
  const report = (message: LoadReport) => process.send?.(message);
  const delays = monitorEventLoopDelay({ resolution: 10 });
  delays.enable();
  const samples: Sample[] = [];
  const failures: Record<string, number> = {};
  const losses: string[] = [];
  let counted = 0;
  const train = trainer();
  async function enter(token: string, number: number): Promise<() => Promise<number>> {
    const transport = httpTransport({ url });
    const parts: LightParts = {
      transport: transport.send,
      clock: systemClock,
      timers: systemTimers,
      entropy: (bytes) => new Uint8Array(randomBytes(bytes)),
      hasher: nodeHasher,
      stopwatch,
      observe: (sample) => samples.push(sample),
      onFailure(route, reason) {
        const key = `${route}: ${reason}`;
        failures[key] = (failures[key] ?? 0) + 1;
      },
      trainingMs: () => trainingMs * Math.random(),
      train,
    };
    const identity = {
      number,
      signer: ed25519FromSeed(randomBytes(32)),
      secret: parseJoinToken(token).secret,
    };
    // One signal each: thousands of listeners at one would take all the time.
    const { signal } = new AbortController();
    const goOn = await enterLightClient(parts, identity, signal);
    return () => goOn().finally(() => transport.close());
  }

  const startedMs = stopwatch.nowMs();
  const playing: Promise<unknown>[] = [];
  const left = tokens.entries();
  const lose = (cause: unknown) => losses.push(messageOf(cause));
  const enterSome = async () => {
    for (const [number, token] of left) {
      const goOn = await enter(token, number).catch(lose);
      if (typeof goOn !== 'function') continue;
      playing.push(
        goOn().then((updates) => {
          counted += updates;
        }, lose),
      );
    }
  };
  await Promise.all(Array.from({ length: wave }, enterSome));
  report({ type: 'entered', tookMs: stopwatch.nowMs() - startedMs });
  await Promise.all(playing);
  const lag = { p99Ms: delays.percentile(99) / 1e6, maxMs: delays.max / 1e6 };
  const loss = { lost: losses.length, firstLoss: losses[0] ?? null };
  report({ type: 'played', samples, failures, counted, ...loss, lag });
}

/** All make their updates from the params that the first one read. */
function trainer(): LightParts['train'] {
  let making: Promise<MakeUpdate> | undefined;
  return async (client, { round, params }: TrainTask, body) => {
    if (making === undefined) {
      const reading = readBody(body, params.bytes).then(lightUpdates);
      making = reading;
      reading.catch(() => {
        making = undefined;
      });
    } else await drain(body, params.bytes);
    return (await making)(client * MAX_ROUNDS + (round % MAX_ROUNDS));
  };
}

async function drain(body: AsyncIterable<Uint8Array>, expected: number): Promise<void> {
  let bytes = 0;
  for await (const piece of body) bytes += piece.byteLength;
  if (bytes !== expected) throw new Unanswered(`${bytes} of ${expected} bytes of the params came`);
}

process.once('message', (order) => {
  play(order as LoadOrder).catch((cause) => {
    console.error(messageOf(cause));
    process.exit(1);
  });
});
