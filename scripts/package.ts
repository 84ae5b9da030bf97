/**
 * `npm pack` / `npm publish` of packages/headwater: `stage` before, `restore` after (prepack and postpack).
 *
 * onnxruntime-node's postinstall fetches CUDA files from a host that is no package registry and fails the whole install
 * where that host is out of reach; a dependant has no way to learn that in advance. So the tarball bundles
 * onnxruntime-node with that script removed (docs/adr/0005-bundled-onnxruntime.md). npm can only bundle what lies in
 * the package's own node_modules, hence the staging; `restore` leaves the working tree as it was.
 */

import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const folder = join(root, 'packages/headwater');
const manifestFile = join(folder, 'package.json');
const savedManifest = join(folder, '.package.json.unstaged');
const BUNDLED = ['onnxruntime-node', 'onnxruntime-common'];
const BORROWED = ['LICENSE', 'README.md'];

interface Manifest {
  version: string;
  license: string;
  dependencies: Record<string, string>;
  scripts?: Record<string, string>;
  devDependencies?: Record<string, string>;
  [key: string]: unknown;
}

function readManifest(file: string): Manifest {
  return JSON.parse(readFileSync(file, 'utf8')) as Manifest;
}

function writeManifest(file: string, manifest: Manifest): void {
  writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`);
}

function stage(): void {
  restore();
  build();
  for (const file of BORROWED) cpSync(join(root, file), join(folder, file));
  for (const name of BUNDLED) bundle(name);
  const manifest = readManifest(manifestFile);
  renameSync(manifestFile, savedManifest);
  writeManifest(manifestFile, publishedManifest(manifest));
}

function build(): void {
  rmSync(join(folder, 'dist'), { recursive: true, force: true });
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  const tsc = spawnSync(process.execPath, [compiler, '-p', join(folder, 'tsconfig.build.json')], {
    stdio: 'inherit',
  });
  if (tsc.status !== 0) throw new Error('tsc failed; nothing is staged');
  const pages = spawnSync(process.execPath, [join(root, 'packages/web/scripts/build.ts')], {
    stdio: 'inherit',
  });
  if (pages.status !== 0) throw new Error('the pages do not build; nothing is staged');
}

/** What dependants see: compiled code, the bundled engine at the very version it was tested with, no scripts. */
function publishedManifest({ scripts: _, devDependencies: __, ...manifest }: Manifest): Manifest {
  const versions = BUNDLED.map((name) => [
    name,
    readManifest(join(root, 'node_modules', name, 'package.json')).version,
  ]);
  return {
    ...manifest,
    exports: {
      '.': { types: './dist/index.d.ts', default: './dist/index.js' },
      './package.json': './package.json',
    },
    dependencies: { ...manifest.dependencies, ...Object.fromEntries(versions) },
    bundleDependencies: BUNDLED,
  };
}

function bundle(name: string): void {
  const target = join(folder, 'node_modules', name);
  cpSync(join(root, 'node_modules', name), target, { recursive: true });
  const { scripts: _, devDependencies: __, ...manifest } = readManifest(join(target, 'package.json'));
  // Only the removed install script needs these two; without it they are dead weight.
  const { 'adm-zip': ___, 'global-agent': ____, ...dependencies } = manifest.dependencies ?? {};
  writeManifest(join(target, 'package.json'), { ...manifest, dependencies });
  rmSync(join(target, 'script'), { recursive: true, force: true });
  cpSync(join(folder, 'third-party/onnxruntime-LICENSE.txt'), join(target, 'LICENSE'));
}

function restore(): void {
  for (const name of BUNDLED) rmSync(join(folder, 'node_modules', name), { recursive: true, force: true });
  const modules = join(folder, 'node_modules');
  if (existsSync(modules) && readdirSync(modules).length === 0) rmdirSync(modules);
  for (const file of BORROWED) rmSync(join(folder, file), { force: true });
  if (existsSync(savedManifest)) renameSync(savedManifest, manifestFile);
}

const commands: Record<string, () => void> = { build, stage, restore };
const command = commands[process.argv[2] ?? ''];
if (command === undefined) throw new Error(`usage: package.ts ${Object.keys(commands).join(' | ')}`);
command();
