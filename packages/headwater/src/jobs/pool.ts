/**
 * A pool of worker threads that do jobs. Jobs start in a fixed order (rank, then arrival), any worker may do any job, and
 * results do not depend on which one did. A job whose worker died is tried once more. It knows no rounds.
 */

import type { Worker } from 'node:worker_threads';
import type { Clock } from '../base/clock.ts';
import { HeadwaterError, messageOf } from '../base/errors.ts';
import { isOutOfMemory, outOfMemory } from '../base/out-of-memory.ts';
import { received, type SentError } from '../base/sent-error.ts';
import type { StepReport } from '../training/engine.ts';
import type { Job, OnStep, ResultOf } from './jobs.ts';

export interface Pool {
  readonly size: number;
  /** Lower ranks start first. Rejects with the job's own error, or RUNTIME_FAILED when its worker died twice. */
  run<J extends Job>(job: J, rank: number, onStep?: OnStep): Promise<Done<J>>;
  /** Stops all workers; jobs that are not done never settle. */
  close(): Promise<void>;
}

export interface Done<J extends Job> {
  readonly result: ResultOf<J>;
  /** Time in the worker's hands, without waiting for one. */
  readonly tookMs: number;
}

/** `stop`: leave when no native code runs. Terminating a thread inside ONNX Runtime can end the whole process. */
export type ToWorker =
  | { readonly type: 'job'; readonly id: number; readonly job: Job }
  | { readonly type: 'stop' };

export type FromWorker =
  | { readonly type: 'step'; readonly id: number; readonly report: StepReport }
  | { readonly type: 'done'; readonly id: number; readonly result: unknown }
  | { readonly type: 'failed'; readonly id: number; readonly error: SentError };

interface Task {
  readonly id: number;
  readonly job: Job;
  readonly rank: number;
  readonly onStep: OnStep | undefined;
  readonly resolve: (done: { readonly result: unknown; readonly tookMs: number }) => void;
  readonly reject: (error: unknown) => void;
  crashes: number;
  startedMs: number;
}

interface Seat {
  worker: Worker;
  task: Task | undefined;
}

/** A job is given to at most this many workers that die over it. */
const MAX_CRASHES = 2;

export function createPool(size: number, spawn: () => Worker, clock: Clock): Pool {
  const queue: Task[] = [];
  const seats: Seat[] = [];
  let nextId = 1;
  let closed = false;
  let closing: Promise<void> | undefined;

  function assign(): void {
    for (const seat of seats) {
      if (closed || seat.task !== undefined) continue;
      const task = queue.shift();
      if (task === undefined) return;
      seat.task = task;
      task.startedMs = clock.nowMs();
      seat.worker.postMessage({ type: 'job', id: task.id, job: task.job } satisfies ToWorker);
    }
  }

  function enqueue(task: Task): void {
    const at = queue.findIndex(({ rank, id }) => rank > task.rank || (rank === task.rank && id > task.id));
    queue.splice(at < 0 ? queue.length : at, 0, task);
    assign();
  }

  function receive(seat: Seat, message: FromWorker): void {
    const { task } = seat;
    if (task === undefined || task.id !== message.id) return;
    if (message.type === 'step') return void task.onStep?.(message.report);
    seat.task = undefined;
    if (message.type === 'done')
      task.resolve({ result: message.result, tookMs: clock.nowMs() - task.startedMs });
    else task.reject(received(message.error));
    assign();
  }

  function replace(seat: Seat, cause: unknown): void {
    if (closed) return;
    const { task } = seat;
    seat.task = undefined;
    seat.worker = start(seat);
    if (task === undefined) return;
    task.crashes += 1;
    if (task.crashes < MAX_CRASHES) enqueue(task);
    else task.reject(crashed(task.job, cause));
    assign();
  }

  function start(seat: Seat): Worker {
    const worker = spawn();
    let reason: unknown;
    worker.on('message', (message: FromWorker) => receive(seat, message));
    worker.on('error', (error) => {
      reason = error;
    });
    worker.on('exit', (code) => {
      if (seat.worker === worker) replace(seat, reason ?? new Error(`it exited with code ${code}`));
    });
    return worker;
  }

  for (let i = 0; i < size; i++) {
    const seat = { task: undefined } as unknown as Seat;
    seat.worker = start(seat);
    seats.push(seat);
  }

  return {
    size,
    run: (job, rank, onStep) =>
      new Promise((resolve, reject) => {
        const settle = { resolve: resolve as Task['resolve'], reject };
        enqueue({ id: nextId++, job, rank, onStep, ...settle, crashes: 0, startedMs: 0 });
      }),
    close() {
      closed = true;
      queue.length = 0;
      closing ??= Promise.all(seats.map(({ worker }) => leave(worker))).then(() => undefined);
      return closing;
    },
  };
}

/** A step of a large model on a slow machine; whatever takes longer is taken for hung. */
const GRACE_MS = 60_000;

function leave(worker: Worker): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => worker.terminate(), GRACE_MS);
    worker.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
    worker.postMessage({ type: 'stop' } satisfies ToWorker);
  });
}

function crashed(job: Job, cause: unknown): HeadwaterError {
  if (isOutOfMemory(cause)) return outOfMemory(job.kind, cause);
  const why = messageOf(cause);
  return new HeadwaterError('RUNTIME_FAILED', `a worker died twice over the same job (${job.kind}): ${why}`, {
    hint: 'Often the memory is too small: lower workers, training.microBatchSize or data.maxLength.',
    cause,
  });
}
