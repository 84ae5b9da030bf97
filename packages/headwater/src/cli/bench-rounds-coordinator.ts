/** A process with a coordinator for `bench rounds`: one run, as `headwater serve` would do it, and how long its rounds took. */

import { messageOf } from '../base/errors.ts';
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
  /** Times at which rounds were committed, in milliseconds. */
  | { readonly type: 'over'; readonly committedMs: readonly number[]; readonly reason: string | null };

const HOUR_MS = 3_600_000;
const quiet = { info: () => undefined, warn: () => undefined };

async function play({ store, durability, recipe, clients }: CoordinatorOrder): Promise<void> {
  const report = (message: CoordinatorReport) => process.send?.(message);
  const over = Promise.withResolvers<void>();
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
    onFact: (fact) => fact.type === 'over' && over.resolve(),
  });
  const run = recipe.name;
  await server.operator.createRun(run, JSON.parse(JSON.stringify(recipe)));
  const tokens: string[] = [];
  for (let i = 0; i < clients; i++) {
    const token = { run, owner: `owner-${i}`, uses: 1, ttlMs: HOUR_MS };
    tokens.push((await server.operator.createToken(token)).text);
  }
  report({ type: 'ready', url: server.url, tokens });
  await over.promise;
  const events = await server.operator.events(run, 0);
  const state = await server.operator.state(run);
  report({
    type: 'over',
    committedMs: events.flatMap(({ event }) => commitTime(event)),
    reason: state?.failure ?? null,
  });
  process.once('message', () => void server.close(1000).then(() => process.exit(0)));
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
