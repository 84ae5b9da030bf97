/** Simulates the seeds that it is sent, one at a time. */

import { parentPort, workerData } from 'node:worker_threads';
import { plants } from './plants.ts';
import { type Report, reportOf } from './report.ts';
import { simulateSeed } from './simulate.ts';

const plant = plants.get((workerData as { readonly plant: string | null }).plant ?? '');

parentPort!.on('message', (seed: number) => {
  const startedMs = performance.now();
  simulateSeed(seed, { plant }).then(
    (outcome) => parentPort!.postMessage(reportOf(outcome, performance.now() - startedMs) satisfies Report),
    (error: unknown) => {
      throw error;
    },
  );
});
