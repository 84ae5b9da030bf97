/** Another thread that opens and runs sessions for this one. It knows what travels, not what is computed. */

import { Worker } from 'node:worker_threads';
import { HeadwaterError, messageOf } from '../base/errors.ts';
import { received } from '../base/sent-error.ts';
import { siblingModule } from '../base/sibling.ts';
import type { Tensor } from '../base/tensor.ts';
import type { NativeOrder, NativeSession } from './native-session-node.ts';
import type { FromReplica, ToReplica } from './replica-worker-node.ts';

export interface ReplicaThread {
  /** As `openNative` does it here. */
  open(order: NativeOrder): Promise<NativeSession>;
  /** After what it was asked before. */
  close(): Promise<void>;
}

type Outputs = ReadonlyMap<string, Tensor> | undefined;
/** A message without the number of its call. */
type Request<T = ToReplica> = T extends { readonly call: number } ? Omit<T, 'call'> : never;

/** Started with the first request. */
export function replicaThread(): ReplicaThread {
  const waiting = new Map<number, PromiseWithResolvers<Outputs>>();
  let calls = 0;
  let sessions = 0;
  let worker: Worker | undefined;
  let dead: HeadwaterError | undefined;

  function start(): Worker {
    const started = new Worker(siblingModule(import.meta.url, './replica-worker-node'));
    started.on('message', (answer: FromReplica) => {
      const call = waiting.get(answer.call);
      waiting.delete(answer.call);
      if ('error' in answer) call?.reject(received(answer.error));
      else call?.resolve(answer.outputs);
    });
    started.on('error', (cause) => failAll(cause));
    // Whoever waits for an answer holds the process, an idle thread does not.
    started.unref();
    return started;
  }

  function failAll(cause: unknown): void {
    dead = new HeadwaterError('RUNTIME_FAILED', `a replica of the session died: ${messageOf(cause)}`, {
      cause,
      hint: 'Often the memory is too small: lower replicas, training.microBatchSize or data.maxLength.',
    });
    for (const call of waiting.values()) call.reject(dead);
    waiting.clear();
    worker = undefined;
  }

  async function ask(request: Request): Promise<Outputs> {
    // Its sessions died with it.
    if (dead !== undefined) throw dead;
    worker ??= start();
    const asked = worker;
    const call = calls++;
    const answer = Promise.withResolvers<Outputs>();
    waiting.set(call, answer);
    asked.ref();
    asked.postMessage({ ...request, call } as ToReplica);
    try {
      return await answer.promise;
    } finally {
      if (waiting.size === 0) asked.unref();
    }
  }

  return {
    async open(order) {
      const session = sessions++;
      await ask({ type: 'open', session, order });
      return {
        async run(given) {
          const inputs = new Map([...given].filter(([name]) => order.inputs.has(name)));
          return new Map(await ask({ type: 'run', session, inputs }));
        },
        release: async () => void (await ask({ type: 'release', session })),
      };
    },
    async close() {
      if (worker === undefined) return;
      const closed = new Promise((resolve) => worker!.once('exit', resolve));
      worker.ref();
      worker.postMessage({ type: 'stop' } satisfies ToReplica);
      await closed;
    },
  };
}
