/** Child processes of the kill matrix: started, listened to, and started again when they were killed. */

import { type ChildProcess, spawn } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface Child {
  readonly process: ChildProcess;
  /** The first line that it prints, as JSON; rejects when it ends before. */
  readonly ready: Promise<unknown>;
  /** The last lines that it wrote to stderr. */
  complaints(): string;
  /** How it ended. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
}

const MAX_LINES = 25;

export function startChild(entry: 'coordinator' | 'clients', task: unknown): Child {
  const script = fileURLToPath(new URL(`./${entry}.ts`, import.meta.url));
  const startedMs = performance.now();
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', script, JSON.stringify(task)],
    {
      stdio: ['ignore', 'pipe', 'pipe'],
      // Two hundred processes with the same code.
      env: { ...process.env, NODE_COMPILE_CACHE: join(tmpdir(), 'headwater-kill-code') },
    },
  );
  const lines: string[] = [];
  createInterface({ input: child.stderr! }).on('line', (line) => {
    lines.push(`${((performance.now() - startedMs) / 1000).toFixed(2)} s  ${line.slice(0, 500)}`);
    if (lines.length > MAX_LINES) lines.shift();
  });
  const complaints = () => lines.join('\n');
  const ended = new Promise<Awaited<Child['ended']>>((resolve) => {
    child.on('close', (code, signal) => resolve({ code, signal }));
  });
  const ready = new Promise<unknown>((resolve, reject) => {
    createInterface({ input: child.stdout! }).once('line', (line) => resolve(JSON.parse(line)));
    ended.then(({ code, signal }) =>
      reject(new Error(`${entry} ended (${signal ?? code}): ${complaints()}`)),
    );
  });
  // Whoever does not wait for it hears of the end by `ended`.
  ready.catch(() => undefined);
  return { process: child, ready, ended, complaints };
}

export function within<T>(ms: number, what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} took more than ${ms / 1000} s`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}
