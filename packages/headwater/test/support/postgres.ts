/**
 * A real PostgreSQL server for tests: made in a temporary folder, reached by a unix socket, with fsync on, gone
 * afterwards. It refuses to run as root, so root starts it as another user.
 */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { createInterface } from 'node:readline';
import pg from 'pg';

export interface PostgresServer {
  /** A new, empty database; gives its address. */
  newDatabase(): Promise<string>;
  /** Ends the backends of all clients, as a failing network or an operator would. */
  cutConnections(): Promise<void>;
  /** As `kill -9` of the server, then starts it again. */
  crash(): Promise<void>;
  stop(): Promise<void>;
}

const BINARIES = findBinaries();

/** Undefined where tests can start a server. */
export const NO_POSTGRES: string | undefined =
  BINARIES === undefined
    ? 'no PostgreSQL server (initdb, postgres) in /usr/lib/postgresql or PATH'
    : undefined;

export async function startPostgres(): Promise<PostgresServer> {
  const folder = mkdtempSync(join(tmpdir(), 'headwater-pg-'));
  const user = otherUser();
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  execFileSync(
    join(BINARIES!, 'initdb'),
    ['-D', data, '-U', 'headwater', '--auth=trust', '--no-sync', '--encoding=UTF8', '--locale=C'],
    { ...user, cwd: folder, stdio: 'pipe' },
  );
  let server = await launch(folder, data, user);
  const onExit = () => server.kill('SIGKILL');
  process.once('exit', onExit);
  let databases = 0;
  const address = (name: string) => `postgres://headwater@localhost/${name}?host=${folder}`;
  return {
    async newDatabase() {
      const name = `test${++databases}`;
      await withClient(address('postgres'), (client) => client.query(`CREATE DATABASE ${name}`));
      return address(name);
    },
    cutConnections: () => withClient(address('postgres'), (client) => client.query(CUT)),
    async crash() {
      // SIGQUIT is "immediate shutdown": no checkpoint, recovery from the log at the next start.
      await ended(server, 'SIGQUIT');
      server = await launch(folder, data, user);
    },
    async stop() {
      await ended(server, 'SIGQUIT');
      process.off('exit', onExit);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const CUT = `
  SELECT pg_terminate_backend(pid) FROM pg_stat_activity
  WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`;

function findBinaries(): string | undefined {
  const packaged = '/usr/lib/postgresql';
  const versions = existsSync(packaged) ? readdirSync(packaged).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    ...versions.map((version) => join(packaged, version, 'bin')),
    ...(process.env.PATH ?? '').split(delimiter),
  ];
  return folders.find((folder) => ['initdb', 'postgres'].every((name) => existsSync(join(folder, name))));
}

function otherUser(): { readonly uid: number; readonly gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ['postgres', 'nobody']) {
    try {
      const id = (flag: string) => Number(execFileSync('id', [flag, name], { stdio: 'pipe' }).toString());
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      // There is no such user on this machine.
    }
  }
  throw new Error('PostgreSQL does not run as root, and there is no user postgres or nobody');
}

async function launch(
  folder: string,
  data: string,
  user: { readonly uid: number; readonly gid: number } | undefined,
): Promise<ChildProcess> {
  const settings = ['listen_addresses=', 'shared_buffers=32MB', 'max_connections=100', 'fsync=on'];
  const server = spawn(
    join(BINARIES!, 'postgres'),
    ['-D', data, '-k', folder, ...settings.flatMap((setting) => ['-c', setting])],
    { ...user, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const lines: string[] = [];
  await new Promise<void>((resolve, reject) => {
    server.on('error', reject);
    server.on('exit', () => reject(new Error(`PostgreSQL did not start:\n${lines.join('\n')}`)));
    createInterface({ input: server.stderr! }).on('line', (line) => {
      if (lines.length < 100) lines.push(line);
      if (line.includes('ready to accept connections')) resolve();
    });
  });
  return server;
}

function ended(server: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => {
    server.removeAllListeners('exit');
    server.once('exit', () => resolve());
    server.kill(signal);
  });
}

async function withClient(url: string, use: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await use(client);
  } finally {
    await client.end();
  }
}
