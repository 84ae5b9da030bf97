/**
 * What owners' pages are tested with: a coordinator that can be stopped and started, runs on a small model, files of three owners,
 * their invitations; and every blob that its store ever held, so that rounds can be computed again afterwards.
 */

import { linkSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Server, startServer } from '../../../headwater/src/coordinator/serve.ts';
import { resolveRecipe } from '../../../headwater/src/jobs/resolve-recipe.ts';
import type { Subject } from './subjects.ts';

const LOOK_EVERY_MS = 20;
const TOKEN = { uses: 1, ttlMs: 600_000 };

export interface OwnerScene {
  /** Another one after `start`, at the same address. */
  readonly server: Server;
  readonly root: string;
  createRun(run: string, overrides: readonly string[]): Promise<void>;
  /** Address with the token behind `#`. */
  invite(run: string, owner: string): Promise<string>;
  /** Files of an owner: what it learns from, and what it is measured on. */
  filesOf(owner: string): OwnerFiles;
  /** Of a blob that the store holds or held. */
  blob(digest: string): Uint8Array;
  /** Rounds of a run that are closed. */
  closed(run: string): Promise<number>;
  owners(run: string): Promise<number>;
  stop(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

export interface OwnerFiles {
  readonly train: string;
  readonly test: string;
}

/** Closes its subject too. */
export async function openOwnerScene(pagesFolder: string, subject: Subject): Promise<OwnerScene> {
  const root = mkdtempSync(join(tmpdir(), 'headwater-owners-'));
  const store = join(root, 'coordinator');
  const open = (port: number) =>
    startServer({
      ...{ store, durability: 'none', host: '127.0.0.1', port, adminHost: '127.0.0.1', adminPort: 0 },
      ...{ insecure: false, corsOrigins: [], pagesFolder },
      log: { info: () => undefined, warn: () => undefined },
    });
  let server = await open(0);
  const kept = join(root, 'kept');
  mkdirSync(kept);
  const keeping = setInterval(() => keepBlobs(store, kept), LOOK_EVERY_MS);
  return {
    get server() {
      return server;
    },
    root,
    async createRun(run, overrides) {
      const all = [`name=${run}`, ...subject.overrides, ...overrides];
      const { recipe } = await resolveRecipe(subject.recipe, { overrides: all });
      await server.operator.createRun(run, JSON.parse(JSON.stringify(recipe)));
    },
    async invite(run, owner) {
      const { text } = await server.operator.createToken({ run, owner, ...TOKEN });
      return `${server.url}/#${text}`;
    },
    filesOf: (owner) => ({
      train: ownFile(root, subject, owner, 'train'),
      test: ownFile(root, subject, owner, 'test'),
    }),
    blob: (digest) => new Uint8Array(readFileSync(join(kept, digest))),
    closed: async (run) => (await server.operator.state(run))?.closed.length ?? 0,
    owners: async (run) => (await server.operator.summary(run)).owners,
    stop: () => server.close(1000),
    async start() {
      server = await open(Number(new URL(server.url).port));
    },
    async close() {
      clearInterval(keeping);
      await server.close(1000);
      rmSync(root, { recursive: true, force: true });
      subject.close();
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
function ownFile(root: string, { header, rowsOf }: Subject, owner: string, split: 'train' | 'test'): string {
  const path = join(root, `${owner}-${split}.csv`);
  writeFileSync(path, [header, ...rowsOf(owner, split), ''].join('\n'));
  return path;
}
