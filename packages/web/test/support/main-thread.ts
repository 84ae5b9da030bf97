/**
 * How long tasks of pages' main threads computed, from Chromium's own trace: processor time, which other work on the machine does
 * not add to, beside time by the clock.
 */

import type { Browser } from 'playwright-core';

export interface MainThreads {
  readonly tasks: number;
  /** Of the longest task. */
  readonly longestCpuMs: number;
  readonly longestMs: number;
}

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  /** Microseconds; of the thread's processor time `tdur`. */
  readonly dur?: number;
  readonly tdur?: number;
  readonly args?: { readonly name?: string };
}

export const startTrace = (browser: Browser) =>
  browser.startTracing(undefined, { categories: ['disabled-by-default-devtools.timeline', 'toplevel'] });

/** Of all pages of the browser since `startTrace`. */
export async function stopTrace(browser: Browser): Promise<MainThreads> {
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as {
    readonly traceEvents: readonly TraceEvent[];
  };
  const threads = new Set(
    traceEvents.flatMap(({ name, args, pid, tid }) =>
      name === 'thread_name' && args?.name === 'CrRendererMain' ? [`${pid}/${tid}`] : [],
    ),
  );
  const tasks = traceEvents.filter(
    ({ name, ph, pid, tid }) => ph === 'X' && /RunTask$/.test(name) && threads.has(`${pid}/${tid}`),
  );
  const longest = (of: (event: TraceEvent) => number | undefined) =>
    tasks.reduce((most, event) => Math.max(most, of(event) ?? 0), 0) / 1000;
  return {
    tasks: tasks.length,
    longestCpuMs: longest(({ tdur }) => tdur),
    longestMs: longest(({ dur }) => dur),
  };
}
