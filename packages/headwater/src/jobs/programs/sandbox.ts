/**
 * Runs programs that a model wrote, each in a process of its own without network (where the system has namespaces), with limits
 * on processor time, clock time, memory, output and files. Node's permission model closes files, processes and threads to
 * JavaScript; Python has nothing like it. Who may run what is decided in `consent.ts`.
 */

import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { storageError } from '../../base/io-errors.ts';
import type { Language, Program, ProgramLimits, ProgramRun } from '../../training/tasks/program.ts';
import { isolation } from './isolation.ts';

/** In the order of the programs, at most `atOnce` at a time. Throws STORAGE_FAILED. */
export async function runPrograms(programs: readonly Program[], atOnce: number): Promise<ProgramRun[]> {
  if (programs.length === 0) return [];
  const prefix = await isolation();
  const runs: ProgramRun[] = [];
  let next = 0;
  const lane = async () => {
    while (next < programs.length) {
      const at = next++;
      runs[at] = await runProgram(programs[at]!, prefix ?? []);
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, programs.length) }, lane));
  return runs;
}

async function runProgram(program: Program, prefix: readonly string[]): Promise<ProgramRun> {
  const folder = await mkdtemp(join(tmpdir(), 'headwater-program-')).catch((cause) => {
    throw storageError(cause, 'make a folder for a program', tmpdir());
  });
  try {
    const file = join(folder, program.language === 'python' ? 'test.py' : 'test.cjs');
    await writeFile(file, program.source);
    return await started(
      [...prefix, ...limited(program, COMMANDS[program.language](file, folder, program.limits))],
      folder,
      program.limits,
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const COMMANDS: Readonly<
  Record<Language, (file: string, folder: string, limits: ProgramLimits) => string[]>
> = {
  javascript: (file, folder, { memoryBytes }) => [
    process.execPath,
    '--permission',
    `--allow-fs-read=${folder}`,
    `--max-old-space-size=${Math.ceil(memoryBytes / 2 ** 20)}`,
    file,
  ],
  // -I: no environment, no packages of the user; -B: no files beside the program.
  python: (file) => ['python3', '-I', '-B', file],
};

/** Writable memory that Node reserves before it has run a line. */
const RESERVED_BYTES: Readonly<Record<Language, number>> = { javascript: 2 ** 30, python: 0 };

/** Limits that a shell sets and the program inherits; systems without one have the clock and the output only. */
function limited({ language, limits }: Program, command: readonly string[]): string[] {
  if (process.platform === 'win32') return [...command];
  const seconds = Math.ceil(limits.timeoutMs / 1000);
  const kibibytes = Math.ceil((limits.memoryBytes + RESERVED_BYTES[language]) / 1024);
  const rules = [`ulimit -t ${seconds}`, 'ulimit -f 0', 'ulimit -c 0', `{ ulimit -d ${kibibytes} || true; }`];
  return ['sh', '-c', `${rules.join(' && ')} && exec "$@"`, 'sh', ...command];
}

/** A busy machine gives a program less than its processor time; this is for those that wait. */
function clockLimitMs({ timeoutMs }: ProgramLimits): number {
  return 4 * timeoutMs + 10_000;
}

function started(command: readonly string[], cwd: string, limits: ProgramLimits): Promise<ProgramRun> {
  const [file, ...args] = command;
  const env = process.env.PATH === undefined ? {} : { PATH: process.env.PATH };
  const child = spawn(file!, args, { cwd, env, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  const seen: Record<'stdout' | 'stderr', Buffer[]> = { stdout: [], stderr: [] };
  let bytes = 0;
  let ended: 'timeout' | 'output' | undefined;
  const end = (why: 'timeout' | 'output') => {
    ended ??= why;
    kill(child.pid);
  };
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > limits.outputBytes) end('output');
      else seen[stream].push(chunk);
    });
  const timer = setTimeout(() => end('timeout'), clockLimitMs(limits));
  return new Promise((resolve) => {
    const finish = (exitCode: number | null, failure = '') => {
      clearTimeout(timer);
      // What the program left running dies with it.
      kill(child.pid);
      const text = (stream: 'stdout' | 'stderr') => Buffer.concat(seen[stream]).toString('utf8');
      const outcome = ended ?? (exitCode === null ? 'killed' : 'exited');
      resolve({ outcome, exitCode, stdout: text('stdout'), stderr: text('stderr') + failure });
    };
    child.once('error', (error) => finish(null, error.message));
    child.once('close', (code) => finish(code));
  });
}

/** The whole group: a program may have children. */
function kill(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, 'SIGKILL');
  } catch (error) {
    // ESRCH: it is over already.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
