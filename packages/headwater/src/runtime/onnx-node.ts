/**
 * The Executor port on onnxruntime-node. `run` blocks this thread; keep executors in workers where the event loop
 * matters. Frozen weights stay in their safetensors shards: ONNX Runtime maps the files, so all sessions of all workers
 * share one physical copy.
 */

import type { KernelSet } from '../graph/ir.ts';
import type { Device, Executor, Session } from './executor.ts';
import { nativeOrder, type PlanOptions } from './native-order.ts';
import { openNative } from './native-session-node.ts';

export interface NodeExecutorOptions {
  readonly device?: Device;
  /** Threads inside one session. With them fixed, results do not depend on how many workers run. */
  readonly threads?: number;
  /** Let idle threads spin between operators: faster alone, wasteful when several workers share the cores. */
  readonly spinning?: boolean;
  /**
   * Let the engine widen and repack frozen matrices for its kernels: a tenth to a seventh faster, at the price of private
   * copies of the weights. Off: all workers share the mapped files.
   */
  readonly prepack?: boolean;
  /** Which kernels to emit; by default fused ones on CPU and the portable dialect elsewhere. */
  readonly kernels?: KernelSet;
  /** Writes a JSON profile of each session with this prefix. */
  readonly profilePrefix?: string;
}

/** Options after their defaults: fused kernels on CPU, the portable dialect elsewhere. */
export function settled(options: NodeExecutorOptions): PlanOptions {
  const { device = 'cpu', threads = 1, spinning = false, prepack = false, profilePrefix } = options;
  const kernels = options.kernels ?? (device === 'cpu' ? 'cpu' : 'portable');
  return { device, threads, kernels, spinning, prepack, profilePrefix };
}

export function createNodeExecutor(options: NodeExecutorOptions = {}): Executor {
  const plan = settled(options);
  const { device, threads, kernels } = plan;
  const sessions = new Set<Session>();
  return {
    device,
    threads,
    kernels,
    replicas: 1,
    async load(graph, weights, sessionOptions = {}) {
      const order = nativeOrder(graph, weights, plan, sessionOptions);
      const native = await openNative(order);
      const session: Session = {
        inputs: order.inputs,
        outputs: order.outputs,
        run: native.run,
        async release() {
          if (sessions.delete(session)) await native.release();
        },
      };
      sessions.add(session);
      return session;
    },
    async dispose() {
      for (const session of sessions) await session.release();
      sessions.clear();
    },
  };
}
