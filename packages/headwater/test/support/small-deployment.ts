/**
 * Test helper: a whole coordinator process in this one (SQLite, files, HTTP on free ports) with the smallest real run, and
 * its owners' files apart, as they would lie on their machines.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '../../src/coordinator/ports.ts';
import { type Server, startServer } from '../../src/coordinator/serve.ts';
import { builtinRegistries } from '../../src/jobs/records.ts';
import { loadRecipe } from '../../src/recipe/load-node.ts';
import { type SmallRun, smallRun } from './small-run.ts';

export interface SmallDeployment {
  readonly run: SmallRun;
  readonly server: Server;
  /** Folder of the result. */
  readonly results: string;
  /** Folder for state and cache of a client. */
  readonly home: string;
  file(owner: string): string;
  invitation(owner: string | null): Promise<string>;
  /** Stops the coordinator and starts another one over the same store. */
  restart(): Promise<void>;
  close(): Promise<void>;
}

const NAME = 'small';

/** Of the smallest run, as a deployment has it: each owner's rows are on its own machine, and nothing is measured beside it. */
export const THREE_OWNERS = ['ann', 'ben', 'cid'];
export const OF_THREE_OWNERS = {
  data: {
    train: { files: 'data/train.csv' },
    schema: { kind: 'prompt-completion', prompt: '{prompt}', completion: '{answer}', chat: false },
    ownerColumn: 'owner',
    maxLength: 32,
  },
  deployment: { owners: THREE_OWNERS },
  baselines: { localOnly: false, centralised: false },
  workers: 1,
};

/** `warn`: what the coordinator’s log warns of. */
export async function smallDeployment(
  owners: readonly string[],
  more: Record<string, unknown> = {},
  warn: Log['warn'] = () => undefined,
): Promise<SmallDeployment> {
  const run = smallRun(more);
  const recipe = await loadRecipe(run.recipe, { registries: builtinRegistries });
  for (const owner of owners) writeFileSync(join(run.root, `${owner}.csv`), rowsOf(run, owner));
  const store = join(run.root, 'coordinator');
  let server = await start(store, warn);
  await server.operator.createRun(NAME, JSON.parse(JSON.stringify(recipe)));
  return {
    run,
    get server() {
      return server;
    },
    results: join(server.resultsFolder, NAME),
    home: join(run.root, 'home'),
    file: (owner) => join(run.root, `${owner}.csv`),
    async invitation(owner) {
      const token = { run: NAME, owner, uses: 1, ttlMs: 600_000 };
      return `${server.url}/#${(await server.operator.createToken(token)).text}`;
    },
    async restart() {
      const { port } = new URL(server.url);
      await server.close(100);
      server = await start(store, warn, Number(port));
    },
    async close() {
      await server.close(1000);
      run.remove();
    },
  };
}

function start(store: string, warn: Log['warn'], port = 0): Promise<Server> {
  const log = { info: () => undefined, warn };
  return startServer({
    store,
    host: '127.0.0.1',
    port,
    adminHost: '127.0.0.1',
    adminPort: 0,
    insecure: false,
    corsOrigins: [],
    log,
  });
}

/** The owner's rows of the training table, without the column that names it. */
function rowsOf({ root }: SmallRun, owner: string): string {
  const [, ...rows] = readFileSync(join(root, 'data', 'train.csv'), 'utf8')
    .trim()
    .split('\n');
  const own = rows.filter((row) => row.startsWith(`${owner},`)).map((row) => row.slice(owner.length + 1));
  return ['prompt,answer', ...own, ''].join('\n');
}
