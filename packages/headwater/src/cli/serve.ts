/** `headwater serve`: a coordinator until it is told to stop. Says what to type on the owners' machines, then how rounds go. */

import { Command, Option } from 'commander';
import { HeadwaterError } from '../base/errors.ts';
import { formatBytes } from '../base/format.ts';
import { readPem } from '../base/listening-node.ts';
import type { CoordinatorFact } from '../coordinator/ports.ts';
import { type Server, startServer } from '../coordinator/serve.ts';
import { resolveRecipe } from '../jobs/resolve-recipe.ts';
import { checkHelper } from './check-helper.ts';
import { findRecipe } from './find-recipe.ts';
import { interruptSignal } from './interrupt.ts';
import { inviteOwners } from './invite.ts';
import { LOG_LEVELS, type LogLevel, openLog } from './log.ts';
import { collect, nonNegative, portNumber } from './options.ts';
import { createServeLines } from './serve-lines.ts';
import { endOfRuns } from './serve-until-done.ts';

interface ServeCommandOptions {
  readonly store: string;
  readonly blobs?: string;
  readonly folder?: string;
  readonly host: string;
  readonly port: number;
  readonly adminHost: string;
  readonly adminPort: number;
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly insecure?: true;
  readonly advertise?: string;
  readonly peerCa?: string;
  readonly corsOrigin: readonly string[];
  readonly keepDays?: number;
  readonly durability: 'full' | 'none';
  readonly logLevel?: LogLevel;
  readonly untilDone?: true;
  readonly set: readonly string[];
  readonly plugin: readonly string[];
}

const DRAIN_MS = 30_000;

export function serveCommand(): Command {
  return new Command('serve')
    .description('coordinate runs with clients on other machines; started again it continues them')
    .argument('[recipes...]', 'YAML files, or names of recipes that come with Headwater: runs to begin')
    .addOption(
      new Option('--store <place>', 'folder, or postgres://…').env('HEADWATER_STORE').default('coordinator'),
    )
    .addOption(
      new Option('--blobs <place>', 'folder, or s3://… (default: in the store’s folder)').env(
        'HEADWATER_BLOBS',
      ),
    )
    .option('--folder <folder>', 'for results and the admin token (default: the store’s folder)')
    .option('--host <address>', 'where clients connect', '127.0.0.1')
    .option('--port <n>', 'where clients connect', portNumber, 8420)
    .option('--admin-host <address>', 'where the operator’s commands connect', '127.0.0.1')
    .option('--admin-port <n>', 'where the operator’s commands connect', portNumber, 8421)
    .option('--tls-cert <file>', 'certificate, with its chain (PEM); `headwater certificates` makes one')
    .option('--tls-key <file>', 'its key (PEM)')
    .option('--insecure', 'allow plain HTTP on other addresses than those of this machine')
    .option('--advertise <url>', 'address to print and to tell other processes (default: host and port)')
    .option('--peer-ca <file>', 'authority of the certificates of other processes over the same store')
    .option('--cors-origin <origin>', 'web page that may use the API; may be repeated', collect, [])
    .addOption(
      new Option('--durability <mode>', 'none: nothing is flushed, for measurements only')
        .choices(['full', 'none'])
        .default('full'),
    )
    .addOption(new Option('--log-level <level>', 'JSON lines on stderr').choices(LOG_LEVELS))
    .option('--keep-days <n>', 'forget runs that ended longer ago; their results stay', nonNegative)
    .option('--until-done', 'stop when all runs are over and their clients know it')
    .option('--set <path=value>', 'override a key of the recipes; may be repeated', collect, [])
    .option('--plugin <file>', 'module with methods, tuning kinds …; may be repeated', collect, [])
    .action(serve);
}

async function serve(recipes: readonly string[], options: ServeCommandOptions): Promise<void> {
  const found = recipes.map(findRecipe);
  const level = options.logLevel ?? (process.stdout.isTTY ? 'warn' : 'info');
  const log = await openLog({ level, descriptor: 2 });
  const say = (line: string) => void process.stdout.write(`${line}\n`);
  const lines = createServeLines(say);
  const ends = endOfRuns();
  const server = await startServer({
    ...options,
    insecure: options.insecure === true,
    corsOrigins: options.corsOrigin,
    log,
    onFact(fact: CoordinatorFact) {
      lines.observe(fact);
      ends.observe(fact);
    },
    onDownload({ file, doneBytes, totalBytes }) {
      if (doneBytes === totalBytes) say(`fetched ${file} (${formatBytes(totalBytes)})`);
    },
  });
  const interrupt = interruptSignal();
  try {
    say(`coordinator on ${server.url}, dashboard and admin API on ${server.adminUrl}`);
    for (const recipe of found) await beginRun(server, recipe, options, say);
    await sayRuns(server, say);
    say(`results go to ${server.resultsFolder}`);
    await (options.untilDone ? ends.reached(server.operator, interrupt.signal) : aborted(interrupt.signal));
  } finally {
    if (interrupt.signal.aborted) say('finishing what is under way');
    await server.close(DRAIN_MS);
    interrupt.release();
  }
}

async function beginRun(
  server: Server,
  file: string,
  { set, plugin, tlsCert, peerCa, insecure }: ServeCommandOptions,
  say: (line: string) => void,
): Promise<void> {
  const { recipe } = await resolveRecipe(file, { overrides: set, plugins: plugin });
  const before = (await server.operator.runs()).some(({ run }) => run === recipe.name);
  if (!before) {
    const ca = peerCa === undefined ? undefined : readPem(peerCa);
    const warning = await checkHelper(recipe, { ca, insecure: insecure === true });
    if (warning !== undefined) say(warning);
  }
  await server.operator.createRun(recipe.name, JSON.parse(JSON.stringify(recipe)));
  await checkTakenUp(server, recipe.name);
  if (before) say(`run ${recipe.name} goes on`);
  for (const line of await inviteOwners(server, recipe, { before, tls: tlsCert !== undefined })) say(line);
}

/** A run that cannot be led now would be tried again and again: at the start it is a mistake to be told at once. */
async function checkTakenUp({ operator }: Server, run: string): Promise<void> {
  const summary = (await operator.runs()).find((item) => item.run === run);
  if (summary?.status !== 'waiting' || summary.reason === null) return;
  throw new HeadwaterError('RUN_LOCKED', `the run "${run}" cannot be taken up: ${summary.reason}`);
}

async function sayRuns({ operator }: Server, say: (line: string) => void): Promise<void> {
  const runs = await operator.runs();
  if (runs.length === 0) say('no runs yet: give a recipe, or use the admin API');
  for (const { run, status, round, rounds, owners, reason } of runs) {
    const where = status === 'waiting' ? `${owners} joined` : `round ${round}/${rounds}, ${owners} owners`;
    say(`run ${run}: ${status}, ${where}${reason === null ? '' : `: ${reason}`}`);
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
