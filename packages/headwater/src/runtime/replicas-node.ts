/**
 * An executor whose sessions exist several times, in this thread and in threads of their own, so that the passes of a training step
 * run side by side (data parallelism). Two replicas of one thread each are faster than one session of two threads: no operator
 * waits for the slower half of another. A run has the same bits in each.
 */

import type { Tensor } from '../base/tensor.ts';
import type { Executor, Session } from './executor.ts';
import { nativeOrder } from './native-order.ts';
import { type NativeOrder, type NativeSession, openNative } from './native-session-node.ts';
import { createNodeExecutor, type NodeExecutorOptions, settled } from './onnx-node.ts';
import { type ReplicaThread, replicaThread } from './replica-thread-node.ts';

/** Where a replica of a session can be: here or in another thread. */
type Place = Pick<ReplicaThread, 'open'>;

/** How many passes can go on side by side in so many threads. */
export function replicasFor(passes: number, threads: number): number {
  return Math.max(1, Math.min(passes, threads));
}

/** For steps of so many passes, which share the threads. On other devices than the CPU passes go one after another. */
export function openExecutorFor(
  passes: number,
  options: NodeExecutorOptions & { readonly threads: number },
): Executor {
  const { device = 'cpu', threads } = options;
  const replicas = device === 'cpu' ? replicasFor(passes, threads) : 1;
  return openExecutor(replicas, { ...options, threads: Math.floor(threads / replicas) });
}

/** `options.threads` are those of one replica. */
export function openExecutor(replicas: number, options: NodeExecutorOptions): Executor {
  return replicas === 1 ? createNodeExecutor(options) : createReplicas(replicas, options);
}

function createReplicas(replicas: number, options: NodeExecutorOptions): Executor {
  const plan = settled(options);
  const { device, threads, kernels } = plan;
  const others = Array.from({ length: replicas - 1 }, replicaThread);
  const places: readonly Place[] = [{ open: openNative }, ...others];
  /** Of sessions that one replica is enough for. */
  const here = createNodeExecutor(options);
  const lanes = freeLanes(replicas);
  const sessions = new Set<Session>();
  let opening: Promise<unknown> = Promise.resolve();

  /**
   * While a session opens, its weights are in memory twice, as they are mapped and as they are packed: one opens after another, and
   * all before the first run takes memory for itself.
   */
  function openOneByOne(order: NativeOrder): Promise<readonly NativeSession[]> {
    const opened = opening.then(() => openAll(places, order));
    opening = opened.catch(() => undefined);
    return opened;
  }

  function sessionOf(order: NativeOrder): Session {
    let copies: Promise<readonly NativeSession[]> | undefined;
    const session: Session = {
      inputs: order.inputs,
      outputs: order.outputs,
      async run(inputs) {
        copies ??= openOneByOne(order);
        const opened = await copies;
        return lanes.within((lane) => opened[lane]!.run(inputs));
      },
      async release() {
        if (!sessions.delete(session)) return;
        for (const copy of (await copies?.catch(() => [])) ?? []) await copy.release();
      },
    };
    sessions.add(session);
    return session;
  }

  return {
    device,
    threads,
    kernels,
    replicas,
    load: async (graph, weights, sessionOptions = {}) =>
      sessionOptions.sequential === true
        ? here.load(graph, weights, sessionOptions)
        : sessionOf(nativeOrder(graph, weights, plan, sessionOptions)),
    async dispose() {
      await here.dispose();
      for (const session of sessions) await session.release();
      sessions.clear();
      for (const thread of others) await thread.close();
    },
  };
}

/** All or none. */
async function openAll(places: readonly Place[], order: NativeOrder): Promise<readonly NativeSession[]> {
  const opened: NativeSession[] = [];
  try {
    for (const place of places) opened.push(await place.open(order));
    return opened;
  } catch (cause) {
    for (const session of opened) await session.release();
    throw cause;
  }
}

type Run = (lane: number) => Promise<Map<string, Tensor>>;

/** The lowest free one is taken first: whoever runs one thing at a time stays in this thread. */
function freeLanes(count: number): { within(run: Run): Promise<Map<string, Tensor>> } {
  const free = Array.from({ length: count }, (_, lane) => lane);
  const waiting: ((lane: number) => void)[] = [];

  function take(): Promise<number> {
    const lane = free.shift();
    return lane === undefined ? new Promise((resolve) => waiting.push(resolve)) : Promise.resolve(lane);
  }

  function giveBack(lane: number): void {
    const next = waiting.shift();
    if (next === undefined) {
      free.push(lane);
      free.sort((a, b) => a - b);
    } else next(lane);
  }

  return {
    async within(run) {
      const lane = await take();
      try {
        return await run(lane);
      } finally {
        giveBack(lane);
      }
    },
  };
}
