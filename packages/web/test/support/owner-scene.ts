/**
 * What the owner's page is tested with: a coordinator with a run on the smallest model, files of three owners, their
 * invitations; and every blob that its store ever held, so that rounds can be computed again afterwards.
 */

import { linkSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Server, startServer } from '../../../headwater/src/coordinator/serve.ts';
import { resolveRecipe } from '../../../headwater/src/jobs/resolve-recipe.ts';
import { fileIn, smallRun } from '../../../headwater/test/support/small-run.ts';

const LOOK_EVERY_MS = 20;

export interface OwnerScene {
  readonly server: Server;
  readonly root: string;
  /** Address with the token behind `#`. */
  invite(owner: string): Promise<string>;
  /** Files of an owner: what it learns from, and what it is measured on. */
  filesOf(owner: string): { readonly train: string; readonly test: string };
  /** Of a blob that the store holds or held. */
  blob(digest: string): Uint8Array;
  /** Rounds that are closed. */
  closed(): Promise<number>;
  close(): Promise<void>;
}

export async function openOwnerScene(
  pagesFolder: string,
  run: string,
  overrides: readonly string[],
): Promise<OwnerScene> {
  const small = smallRun({ baselines: { localOnly: false, centralised: false } });
  const store = join(small.root, 'coordinator');
  const server = await startServer({
    ...{ store, durability: 'none', host: '127.0.0.1', port: 0, adminHost: '127.0.0.1', adminPort: 0 },
    ...{ insecure: false, corsOrigins: [], pagesFolder },
    log: { info: () => undefined, warn: () => undefined },
  });
  const { recipe } = await resolveRecipe(small.recipe, { overrides: [`name=${run}`, ...overrides] });
  await server.operator.createRun(run, JSON.parse(JSON.stringify(recipe)));
  const kept = join(small.root, 'kept');
  mkdirSync(kept);
  const keeping = setInterval(() => keepBlobs(store, kept), LOOK_EVERY_MS);
  return {
    server,
    root: small.root,
    async invite(owner) {
      const { text } = await server.operator.createToken({ run, owner, uses: 1, ttlMs: 600_000 });
      return `${server.url}/#${text}`;
    },
    filesOf: (owner) => ({
      train: ownFile(small.root, owner, 'train'),
      test: ownFile(small.root, owner, 'test'),
    }),
    blob: (digest) => new Uint8Array(readFileSync(join(kept, digest))),
    closed: async () => (await server.operator.state(run))?.closed.length ?? 0,
    async close() {
      clearInterval(keeping);
      await server.close(1000);
      small.remove();
    },
  };
}

/** Other names for the same bytes: what the coordinator deletes stays. */
function keepBlobs(store: string, kept: string): void {
  for (const { parentPath, name } of readdirSync(store, { recursive: true, withFileTypes: true })) {
    if (!/^[0-9a-f]{64}$/.test(name)) continue;
    try {
      linkSync(join(parentPath, name), join(kept, name));
    } catch (cause) {
      // Kept already, or deleted since it was listed.
      if (!['EEXIST', 'ENOENT'].includes((cause as { code?: string }).code ?? '')) throw cause;
    }
  }
}

/** With columns of its own names, so that they have to be mapped. */
function ownFile(root: string, owner: string, name: string): string {
  const [, ...rows] = fileIn(root, `data/${name}.csv`).trim().split('\n');
  const own = rows.filter((row) => row.startsWith(`${owner},`)).map((row) => row.slice(owner.length + 1));
  const path = join(root, `${owner}-${name}.csv`);
  writeFileSync(path, ['question,answer', ...own, ''].join('\n'));
  return path;
}
