/** A thread that writes the report of one run and ends. */

import { workerData } from 'node:worker_threads';
import { type RunToReport, writeRunReport } from './run-report.ts';

await writeRunReport(workerData as RunToReport);
