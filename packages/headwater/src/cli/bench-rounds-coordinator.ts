/**
 * A process with a coordinator for `bench rounds` and `bench load`: one run, as `headwater serve` would do it, when its rounds
 * began and ended, and how long its event loop kept others waiting.
 */

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { messageOf } from '../base/errors.ts';
import type { CoordinatorFact, Operator } from '../coordinator/ports.ts';
import { startServer } from '../coordinator/serve.ts';
import type { RunEvent } from '../federation/events.ts';
import type { RecipeInput } from '../recipe/schema.ts';

export interface CoordinatorOrder {
  readonly store: string;
  readonly durability: 'full' | 'none';
  readonly recipe: RecipeInput;
  readonly clients: number;
}

export type CoordinatorReport =
  | { readonly type: 'ready'; readonly url: string; readonly tokens: readonly string[] }
  | CoordinatorOver;

/** Times in milliseconds since the epoch. */
export interface CoordinatorOver {
  readonly type: 'over';
  /** When each round asked its cohort, and when its params were committed. */
  readonly openedMs: readonly number[];
  readonly committedMs: readonly number[];
  readonly overMs: number;
  readonly reason: string | null;
  readonly lag: Lag;
  /** Since the first client came: of the thread that answers clients, and of the whole process. */
  readonly cpuSeconds: { readonly answering: number; readonly all: number };
}

/** By how much turns of the event loop were late, in milliseconds. */
export interface Lag {
  readonly p99Ms: number;
  readonly maxMs: number;
}

const HOUR_MS = 3_600_000;
const LAG_RESOLUTION_MS = 10;
/** Tokens that are made at once: they share flushes. */
const TOKENS_AT_ONCE = 500;
const quiet = { info: () => undefined, warn: () => undefined };

async function play({ store, durability, recipe, clients }: CoordinatorOrder): Promise<void> {
  const report = (message: CoordinatorReport) => process.send?.(message);
  const over = Promise.withResolvers<void>();
  const moments = { openedMs: [] as number[], overMs: 0 };
  const server = await startServer({
    store,
    durability,
    host: '127.0.0.1',
    port: 0,
    adminHost: '127.0.0.1',
    adminPort: 0,
    insecure: false,
    corsOrigins: [],
    // As fast as they can, which nobody who trains would be.
    limits: { requestsPerSecond: 1e6, requestBurst: 1e6 },
    log: quiet,
    onFact(fact) {
      note(moments, fact);
      if (fact.type === 'over') over.resolve();
    },
  });
  const run = recipe.name;
  await server.operator.createRun(run, JSON.parse(JSON.stringify(recipe)));
  const tokens = await createTokens(server.operator, run, clients);
  const delays = monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS });
  delays.enable();
  const before = { answering: process.threadCpuUsage(), all: process.cpuUsage() };
  report({ type: 'ready', url: server.url, tokens });
  await over.promise;
  delays.disable();
  const cpuSeconds = {
    answering: seconds(process.threadCpuUsage(before.answering)),
    all: seconds(process.cpuUsage(before.all)),
  };
  const events = await server.operator.events(run, 0);
  const state = await server.operator.state(run);
  report({
    type: 'over',
    ...moments,
    lag: { p99Ms: delays.percentile(99) / 1e6, maxMs: delays.max / 1e6 },
    cpuSeconds,
    committedMs: events.flatMap(({ event }) => commitTime(event)),
    reason: state?.failure ?? null,
  });
  process.once('message', () => void server.close(1000).then(() => process.exit(0)));
}

function seconds({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1e6;
}

async function createTokens(operator: Operator, run: string, count: number): Promise<string[]> {
  const texts: string[] = [];
  while (texts.length < count) {
    const next = Array.from({ length: Math.min(TOKENS_AT_ONCE, count - texts.length) }, (_, i) =>
      operator.createToken({ run, owner: `owner-${texts.length + i}`, uses: 1, ttlMs: HOUR_MS }),
    );
    texts.push(...(await Promise.all(next)).map(({ text }) => text));
  }
  return texts;
}

function note(moments: { readonly openedMs: number[]; overMs: number }, fact: CoordinatorFact): void {
  if (fact.type !== 'event') return;
  const { open, status } = fact.state;
  const nowMs = performance.timeOrigin + performance.now();
  if (open !== undefined) moments.openedMs[open.round - 1] ??= nowMs;
  if (status !== 'running') moments.overMs ||= nowMs;
}

function commitTime(event: RunEvent): number[] {
  if (event.type !== 'aggregated') return [];
  return [(event.observed as { readonly endedMs: number }).endedMs];
}

process.once('message', (order) => {
  play(order as CoordinatorOrder).catch((cause) => {
    console.error(messageOf(cause));
    process.exit(1);
  });
});
