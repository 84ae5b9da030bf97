/** Child processes of the kill matrix: started, listened to, and started again when they were killed. */

import { type ChildProcess, spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface Child {
  readonly process: ChildProcess;
  /** The first line that it prints; rejects when it ends before. */
  readonly ready: Promise<string>;
  /** What it has printed. */
  output(): string;
  /** The last lines that it wrote to stderr. */
  complaints(): string;
  /** How it ended. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
}

const MAX_LINES = 25;

/** One of the scripts beside this one, with its task as an argument. */
export function startChild(entry: 'coordinator' | 'clients', task: unknown): Child {
  const script = fileURLToPath(new URL(`./${entry}.ts`, import.meta.url));
  return startProgram(['--disable-warning=ExperimentalWarning', script, JSON.stringify(task)], {});
}

export function startProgram(args: readonly string[], environment: Readonly<Record<string, string>>): Child {
  const startedMs = performance.now();
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    // Two hundred processes with the same code.
    env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'headwater-kill-code'), ...environment },
  });
  const said: string[] = [];
  const complaints: string[] = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    complaints.push(`${((performance.now() - startedMs) / 1000).toFixed(2)} s  ${line.slice(0, 500)}`);
    if (complaints.length > MAX_LINES) complaints.shift();
  });
  const ended = new Promise<Awaited<Child['ended']>>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal }));
  });
  const ready = new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      said.push(line);
      resolve(line);
    });
    ended.then(({ code, signal }) =>
      reject(new Error(`ended (${signal ?? code}): ${complaints.join('\n')}`)),
    );
  });
  // Whoever does not wait for it hears of the end by `ended`.
  ready.catch(() => undefined);
  return {
    process: child,
    ready,
    ended,
    output: () => said.join('\n'),
    complaints: () => complaints.join('\n'),
  };
}

export function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took more than ${ms / 1000} s`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
