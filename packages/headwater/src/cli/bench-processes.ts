/** Processes of the benchmarks: started, listened to, looked at. It does not know what they do. */

import { type ChildProcess, type ForkOptions, fork } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HeadwaterError } from '../base/errors.ts';
import { siblingModule } from '../base/sibling.ts';

/** Of a module beside this one. `advanced`: messages may hold typed arrays. */
export function childOf(path: string, options: Pick<ForkOptions, 'serialization'> = {}): ChildProcess {
  return fork(fileURLToPath(siblingModule(import.meta.url, path)), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    ...options,
  });
}

/** The next message of this type. Throws RUNTIME_FAILED when the process ends before it comes. */
export function messageFrom<M extends { readonly type: string }, T extends M['type']>(
  child: ChildProcess,
  type: T,
): Promise<Extract<M, { type: T }>> {
  return new Promise((resolve, reject) => {
    child.once('exit', () =>
      reject(new HeadwaterError('RUNTIME_FAILED', 'a process of the benchmark ended early')),
    );
    child.on('message', (message) => {
      if ((message as M).type === type) resolve(message as Extract<M, { type: T }>);
    });
  });
}

/** In MB; the peak counts from the first look on where the system lets it be reset (Linux). */
export function memoryOf({ pid }: ChildProcess): { readonly rss: number; readonly peak: number } {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const field = (name: string) =>
      Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? Number.NaN) / 1024;
    writeFileSync(`/proc/${pid}/clear_refs`, '5');
    return { rss: field('VmRSS'), peak: field('VmHWM') };
  } catch {
    return { rss: Number.NaN, peak: Number.NaN };
  }
}

/** In the current folder: its disk is the one that matters, /tmp may be memory. */
export async function inFolder<T>(body: (folder: string) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(resolve('.headwater-bench-'));
  try {
    return await body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
