/**
 * `npm run test:package`: what a dependant gets. Packs a copy of the tree, installs the tarball into empty folders with
 * this npm and with npm 10, and runs the CLI and the library from there. Needs the package registry and nothing else:
 * an install that asked any other host would fail where only the registry is reachable.
 */

import { spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const root = join(import.meta.dirname, '..');
const work = mkdtempSync(join(tmpdir(), 'headwater-package-'));
const full = process.argv.includes('--full');

function run(folder: string, command: string, ...args: string[]): string {
  console.log(`$ ${[command, ...args].join(' ')}`);
  // The dependant's machine has Node 24 on its PATH and none of our settings.
  const PATH = `${dirname(process.execPath)}:${process.env.PATH}`;
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([key]) => !/^npm_(config|package|lifecycle)/.test(key)),
  );
  const result = spawnSync(command, args, {
    cwd: folder,
    encoding: 'utf8',
    env: { ...env, PATH },
    maxBuffer: 2 ** 28,
  });
  if (result.status === 0) return result.stdout;
  throw new Error(
    `${command} ${args.join(' ')} failed (${result.status})\n${result.stdout}\n${result.stderr}`,
  );
}

function expect(condition: boolean, what: string): void {
  if (!condition) throw new Error(`not so: ${what}`);
  console.log(`  ok: ${what}`);
}

/** The working tree is left alone: staging happens in a copy that borrows node_modules. */
function pack(): string {
  const copy = join(work, 'tree');
  const left = ['node_modules', '.git', 'runs', 'dist', 'shared'];
  mkdirSync(copy);
  for (const name of readdirSync(root).filter((file) => !left.includes(file)))
    cpSync(join(root, name), join(copy, name), {
      recursive: true,
      filter: (path) => !/[\\/](node_modules|dist)$/.test(path),
    });
  symlinkSync(join(root, 'node_modules'), join(copy, 'node_modules'));
  const before = readFileSync(join(copy, 'packages/headwater/package.json'), 'utf8');
  run(copy, 'npm', 'pack', '--workspace', 'headwater', '--pack-destination', work, '--silent');
  expect(
    readFileSync(join(copy, 'packages/headwater/package.json'), 'utf8') === before,
    'packing restores package.json',
  );
  const [tarball] = readdirSync(work).filter((file) => file.endsWith('.tgz'));
  if (tarball === undefined) throw new Error('npm pack made no tarball');
  return join(work, tarball);
}

function install(tarball: string, npm: readonly [string, ...string[]]): string {
  const folder = mkdtempSync(join(work, 'dependant-'));
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  const [command, ...args] = npm;
  run(folder, command, ...args, 'install', tarball, '--no-audit', '--no-fund');
  const engine = join(folder, 'node_modules/headwater/node_modules/onnxruntime-node/package.json');
  const { scripts } = JSON.parse(readFileSync(engine, 'utf8')) as { scripts?: unknown };
  expect(scripts === undefined, `${npm.join(' ')}: the bundled onnxruntime-node has no install script`);
  return folder;
}

function tryCommands(folder: string): void {
  const headwater = (...args: string[]) => run(folder, 'npx', '--no-install', 'headwater', ...args);
  const { devices } = JSON.parse(headwater('doctor', '--json')) as {
    devices: { device: string; works: boolean }[];
  };
  expect(
    devices.some(({ device, works }) => device === 'cpu' && works),
    'doctor finds a working CPU device',
  );
  expect(headwater('run').includes('quickstart'), 'the shipped recipes are listed');
  const small = [
    'federation.rounds=1',
    'federation.localSteps=1',
    'evaluation.sampleSize=20',
    'baselines.localOnly=false',
  ];
  const run1 = headwater('run', 'quickstart', ...(full ? [] : small.flatMap((text) => ['--set', text])));
  expect(run1.includes('federated'), 'the packed quickstart runs and prints the comparison');
  expect(
    readdirSync(join(folder, 'runs/quickstart')).includes('report.html'),
    'the run folder holds a report',
  );
}

function tryLibrary(folder: string): void {
  writeFileSync(
    join(folder, 'use.js'),
    "import * as headwater from 'headwater';\nconsole.log(typeof headwater.run);\n",
  );
  expect(run(folder, 'node', 'use.js').trim() === 'function', "import { run } from 'headwater' works");
}

try {
  const tarball = pack();
  const folder = install(tarball, ['npm']);
  tryCommands(folder);
  tryLibrary(folder);
  install(tarball, ['npx', '--yes', 'npm@10']);
  console.log('the package works where it is installed');
} finally {
  rmSync(work, { recursive: true, force: true });
}
