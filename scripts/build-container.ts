/**
 * `npm run build:container`: builds deploy/Containerfile with whatever engine works here and tries the image. Where none
 * works it says so in one plain line and does nothing; `--required` makes that an error.
 */

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const IMAGE = 'headwater';

/** An engine whose server answers; else what each of them said. */
function findEngine(): { readonly engine: string | undefined; readonly reasons: readonly string[] } {
  const reasons: string[] = [];
  for (const engine of ['docker', 'podman']) {
    const { status, error, stderr } = spawnSync(engine, ['info'], { encoding: 'utf8', timeout: 20_000 });
    if (status === 0) return { engine, reasons };
    const said = error === undefined ? (stderr.trim().split('\n').at(-1) ?? '') : 'is not installed';
    reasons.push(`${engine}: ${said}`);
  }
  return { engine: undefined, reasons };
}

function run(engine: string, ...args: string[]): void {
  console.log(`$ ${engine} ${args.join(' ')}`);
  const { status } = spawnSync(engine, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) throw new Error(`${engine} ${args[0]} failed (${status})`);
}

const { engine, reasons } = findEngine();
if (engine === undefined) {
  console.log(`NOT BUILT: no container engine works here (${reasons.join('; ')})`);
  process.exitCode = process.argv.includes('--required') ? 1 : 0;
} else {
  run(engine, 'build', '-f', 'deploy/Containerfile', '-t', IMAGE, '.');
  run(engine, 'run', '--rm', '--read-only', '--tmpfs', '/tmp', IMAGE, '--version');
  run(engine, 'run', '--rm', '--read-only', '--tmpfs', '/tmp', IMAGE, 'doctor');
}
