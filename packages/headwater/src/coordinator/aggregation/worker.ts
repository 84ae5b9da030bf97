/**
 * A worker that does sum tasks of any run: claims one, keeps the claim alive, finishes it, looks for the next. It keeps
 * nothing; when it dies, its task is somebody else's after a minute.
 */

import { sleep, type Timers } from '../../base/clock.ts';
import { messageOf } from '../../base/errors.ts';
import type { Compression } from '../../federation/compression/compression.ts';
import type { Blobs } from '../../storage/blobs.ts';
import type { Store, Task } from '../../storage/store.ts';
import type { Log } from '../ports.ts';
import { performSumTask, SUM_KINDS, SUM_RESULTS_TOPIC, SUM_TASKS_TOPIC } from './sum-tasks.ts';
import { announceWorker } from './workers-present.ts';

export interface WorkerParts {
  readonly store: Pick<Store, 'tasks' | 'wakeups' | 'leases' | 'records'>;
  readonly blobs: Pick<Blobs, 'stream' | 'putStream' | 'delete'>;
  readonly compressions: ReadonlyMap<string, Compression<unknown>>;
  readonly timers: Timers;
  readonly log: Log;
  /** Among all workers over the store. */
  readonly name: string;
}

const CLAIM_MS = 60_000;
/** Wake-ups may be lost. */
const LOOK_MS = 5_000;
/** After a failure of the store. */
const PAUSE_MS = 2_000;
const MAX_ATTEMPTS = 3;

/** Works until the signal; the task under way is finished. Gives the number of tasks done. */
export async function runAggregationWorker(parts: WorkerParts, signal: AbortSignal): Promise<number> {
  const { store, timers, log, name } = parts;
  let heard = new AbortController();
  const stopListening = store.wakeups.subscribe(SUM_TASKS_TOPIC, () => heard.abort());
  const presence = announceWorker(parts);
  let done = 0;
  try {
    while (!signal.aborted) {
      heard = new AbortController();
      try {
        const [task] = await store.tasks.claim(name, SUM_KINDS, 1, CLAIM_MS);
        if (task === undefined) await sleep(timers, LOOK_MS, AbortSignal.any([heard.signal, signal]));
        else if (await perform(parts, task)) done += 1;
      } catch (error) {
        log.warn('worker-store-failed', { worker: name, reason: messageOf(error) });
        await sleep(timers, PAUSE_MS, signal);
      }
    }
  } finally {
    stopListening();
    await presence.end();
  }
  return done;
}

async function perform(parts: WorkerParts, task: Task): Promise<boolean> {
  const { store, blobs, compressions, log, name } = parts;
  const stopBeating = keepAlive(parts, task.id);
  try {
    const result = await performSumTask(task, blobs, compressions);
    await store.tasks.finish(task.id, result);
    await dropIfUnwanted(parts, task.id, result.sum);
    log.info('task-done', { worker: name, task: task.id, attempt: task.attempt });
    return true;
  } catch (error) {
    log.warn('task-failed', { worker: name, task: task.id, attempt: task.attempt, reason: messageOf(error) });
    await store.tasks.fail(task.id, messageOf(error), MAX_ATTEMPTS);
    return false;
  } finally {
    stopBeating();
    await store.wakeups.publish(SUM_RESULTS_TOPIC);
  }
}

/** Somebody else was faster and the tree is over: nobody will fetch this sum, or delete it. */
async function dropIfUnwanted({ store, blobs }: WorkerParts, id: string, sum: string): Promise<void> {
  const [outcome] = await store.tasks.results([id]);
  if (outcome === undefined) await blobs.delete(sum);
}

function keepAlive({ store, timers, name }: WorkerParts, id: string): () => void {
  let cancel = timers.after(CLAIM_MS / 3, beat);
  function beat(): void {
    cancel = timers.after(CLAIM_MS / 3, beat);
    // A beat that is lost costs at most that somebody else does the task too.
    void store.tasks.heartbeat(name, [id], CLAIM_MS).catch(() => undefined);
  }
  return () => cancel();
}
