/** Simulates many seeds on all cores: a thread for each, fed one seed at a time. */

import { Worker } from 'node:worker_threads';
import type { Report } from './report.ts';

export interface PoolOptions {
  readonly threads: number;
  /** Name of the planted fault; null: none. */
  readonly plant: string | null;
  /** False: no further seed is begun. */
  readonly onReport: (report: Report) => boolean;
}

/** Seeds `first` … `first + count − 1`, reported in any order. */
export async function simulateMany(
  first: number,
  count: number,
  { threads, plant, onReport }: PoolOptions,
): Promise<void> {
  let next = first;
  let going = true;
  const runThread = () =>
    new Promise<void>((resolve, reject) => {
      const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: { plant } });
      const feed = () => {
        if (going && next < first + count) worker.postMessage(next++);
        else void worker.terminate().then(() => resolve());
      };
      worker.on('error', reject);
      worker.on('message', (report: Report) => {
        if (!onReport(report)) going = false;
        feed();
      });
      feed();
    });
  await Promise.all(Array.from({ length: Math.min(threads, count) }, runThread));
}
