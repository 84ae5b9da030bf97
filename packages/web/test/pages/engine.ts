/** The test page: `call(name, input)` asks its worker, `longTasks` are the times that this thread was blocked. */

import type { Commands } from './commands.ts';

declare global {
  interface Window {
    call(name: keyof Commands, input: unknown): Promise<unknown>;
    readonly longTasks: number[];
  }
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' });
const waiting = new Map<number, Waiting>();
let calls = 0;

worker.onmessage = ({ data: { id, value, error } }: MessageEvent) => {
  const { resolve, reject } = waiting.get(id)!;
  waiting.delete(id);
  if (error === undefined) resolve(value);
  else reject(new Error(error));
};
worker.onerror = ({ message }) => {
  for (const { reject } of waiting.values()) reject(new Error(message));
};

const longTasks: number[] = [];
new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) longTasks.push(duration);
}).observe({ entryTypes: ['longtask'] });

Object.assign(window, {
  longTasks,
  call: (name: string, input: unknown) =>
    new Promise((resolve, reject) => {
      waiting.set(++calls, { resolve, reject });
      worker.postMessage({ id: calls, name, input });
    }),
});
document.title = 'ready';
