/**
 * The Executor port: turns a graph into a session and runs it. One executor lives in one thread; `run` may block that
 * thread (onnxruntime-node does), so whoever must stay responsive keeps executors in workers.
 */

import type { Tensor, TensorType } from '../base/tensor.ts';
import type { Graph, KernelSet } from '../graph/ir.ts';

export const DEVICES = ['cpu', 'webgpu', 'cuda', 'coreml', 'dml'] as const;
export type Device = (typeof DEVICES)[number];

/** Where the bytes of one frozen tensor are. */
export type WeightLocation =
  | {
      readonly kind: 'file';
      /** Absolute path of a safetensors shard with links resolved. */
      readonly path: string;
      readonly offsetBytes: number;
      readonly lengthBytes: number;
      readonly type: TensorType;
    }
  | { readonly kind: 'memory'; readonly tensor: Tensor };

export interface WeightSource {
  /** Throws MODEL_INVALID when the checkpoint has no tensor of this name. */
  locate(name: string): WeightLocation;
}

export interface SessionOptions {
  /** For messages and profiles. */
  readonly label?: string;
  /** Whether this session may repack frozen matrices for its kernels; default: as the executor does. */
  readonly prepack?: boolean;
  /** Its runs follow one another, so that one replica is enough; default: as many as the executor has. */
  readonly sequential?: boolean;
}

export interface Session {
  readonly inputs: ReadonlyMap<string, TensorType>;
  readonly outputs: ReadonlyMap<string, TensorType>;
  /** Feeds every input, returns every output. Inputs are not copied; outputs are fresh buffers. */
  run(inputs: ReadonlyMap<string, Tensor>): Promise<Map<string, Tensor>>;
  release(): Promise<void>;
}

export interface Executor {
  readonly device: Device;
  readonly threads: number;
  /** Which kernels its graphs use. */
  readonly kernels: KernelSet;
  /** Runs of a session that it does side by side, each with `threads`. */
  readonly replicas: number;
  /** Compiles the graph's declared outputs. Sessions are meant to live as long as the executor. */
  load(graph: Graph, weights: WeightSource, options?: SessionOptions): Promise<Session>;
  dispose(): Promise<void>;
}
