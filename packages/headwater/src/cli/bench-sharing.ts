/** `headwater bench sharing`: how much memory a second worker adds that trains another virtual client on the same base weights. */

import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { Worker } from 'node:worker_threads';
import { HeadwaterError } from '../base/errors.ts';
import { siblingModule } from '../base/sibling.ts';
import { sizeBytes } from '../base/tensor.ts';
import type { Model } from '../models/model.ts';
import { quantizedTypes } from '../models/quantized-format.ts';
import { benchModel, type Storage } from './bench-model.ts';
import type { SharingWork } from './bench-sharing-worker.ts';
import { renderTable } from './style.ts';

export interface SharingOptions {
  readonly model?: string;
  readonly storage?: Storage;
  readonly batch: number;
  readonly seq: number;
  readonly rank: number;
  readonly json?: true;
}

export async function benchSharing(options: SharingOptions): Promise<void> {
  const { model } = await benchModel(options.model, options);
  const weightsMB = weightBytes(model) / 2 ** 20;
  const folders = { folder: model.folder, quantizedFolder: model.quantized?.folder };
  const work: SharingWork = { ...folders, ...options, targets: ['q_proj', 'v_proj'] };
  const first = startWorker(work);
  await trainOnce(first);
  const oneWorkerMB = await proportionalSetSizeMB();
  const second = startWorker(work);
  const losses = await Promise.all([trainOnce(first), trainOnce(second)]);
  const twoWorkersMB = await proportionalSetSizeMB();
  for (const worker of [first, second]) worker.unref();
  const addedMB = twoWorkersMB - oneWorkerMB;
  show(
    {
      weightsMB,
      oneWorkerMB,
      twoWorkersMB,
      addedMB,
      addedShareOfWeights: addedMB / weightsMB,
      sameLoss: losses[0] === losses[1],
    },
    options,
  );
}

/** What one session reads: the checkpoint's tensors, or the blocks in their place. */
function weightBytes({ storedTypes, quantized }: Model): number {
  const rounded = [...(quantized?.modules.values() ?? [])];
  const replaced = new Set(rounded.map(({ module }) => `${module}.weight`));
  const types = [
    ...[...storedTypes].flatMap(([name, type]) => (replaced.has(name) ? [] : [type])),
    ...rounded.flatMap((module) => Object.values(quantizedTypes(module, quantized!))),
  ];
  return types.reduce((sum, type) => sum + sizeBytes(type), 0);
}

function startWorker(work: SharingWork): Worker {
  return new Worker(siblingModule(import.meta.url, './bench-sharing-worker'), { workerData: work });
}

async function trainOnce(worker: Worker): Promise<number> {
  worker.postMessage('train');
  const [loss] = (await once(worker, 'message')) as [number];
  return loss;
}

/** Pss of this process: pages that several mappings share count once. */
async function proportionalSetSizeMB(): Promise<number> {
  const file = '/proc/self/smaps_rollup';
  const text = await readFile(file, 'utf8').catch((cause) => {
    throw new HeadwaterError('DEVICE_UNAVAILABLE', `${file} cannot be read: this measurement needs Linux`, {
      cause,
    });
  });
  return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1]) / 1024;
}

interface SharingReport {
  readonly weightsMB: number;
  readonly oneWorkerMB: number;
  readonly twoWorkersMB: number;
  readonly addedMB: number;
  readonly addedShareOfWeights: number;
  readonly sameLoss: boolean;
}

function show(report: SharingReport, options: SharingOptions): void {
  const rounded = Object.fromEntries(
    Object.entries(report).map(([name, value]) => [
      name,
      typeof value === 'number' ? Number(value.toFixed(3)) : value,
    ]),
  );
  const rows = Object.entries(rounded).map(([name, value]) => [name, String(value)]);
  if (options.json) console.log(JSON.stringify(rounded));
  else console.log(renderTable({ head: ['a second worker on the same weights', ''], rows, numeric: false }));
}
