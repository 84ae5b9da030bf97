/**
 * The Executor port on onnxruntime-node. `run` blocks this thread; keep executors in workers where the event loop
 * matters. Frozen weights stay in their safetensors shards: ONNX Runtime maps the files, so all sessions of all workers
 * share one physical copy.
 */

import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { HeadwaterError, messageOf } from '../base/errors.ts';
import { isOutOfMemory, outOfMemory } from '../base/out-of-memory.ts';
import { type DType, sizeBytes, type Tensor, type TensorType, tensor } from '../base/tensor.ts';
import { ANY, type Graph, type KernelSet } from '../graph/ir.ts';
import { type WeightPlacement, writeOnnx } from '../graph/onnx/writer.ts';
import { needed } from '../graph/reachable.ts';
import type { Device, Executor, Session, SessionOptions, WeightLocation, WeightSource } from './executor.ts';

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

export function createNodeExecutor(options: NodeExecutorOptions = {}): Executor {
  const { device = 'cpu', threads = 1 } = options;
  const kernels = options.kernels ?? (device === 'cpu' ? 'cpu' : 'portable');
  const sessions = new Set<Session>();
  return {
    device,
    threads,
    kernels,
    async load(graph, weights, sessionOptions = {}) {
      const session = await openSession(
        graph,
        weights,
        { ...options, device, threads, kernels },
        sessionOptions,
      );
      const { release } = session;
      const held: Session = {
        ...session,
        async release() {
          if (sessions.delete(held)) await release();
        },
      };
      sessions.add(held);
      return held;
    },
    async dispose() {
      for (const session of sessions) await session.release();
      sessions.clear();
    },
  };
}

/** Options after their defaults. */
interface Settled {
  readonly device: Device;
  readonly threads: number;
  readonly kernels: KernelSet;
}

async function openSession(
  graph: Graph,
  weights: WeightSource,
  options: NodeExecutorOptions & Settled,
  { label = 'graph', prepack = options.prepack }: SessionOptions,
): Promise<Session> {
  const locations = new Map([...graph.weights.keys()].map((name) => [name, weights.locate(name)]));
  const folder = commonFolder([...locations.values()]);
  const place = (name: string) => placement(locations.get(name) as WeightLocation, folder);
  const { kernels } = options;
  const model = writeOnnx(graph, { kernels, place, packed: prepack === true });
  const choice = { ...options, prepack: prepack === true };
  const native = await createNative(model.bytes, folder, hasLargeTensor(graph), choice, label);
  return {
    inputs: model.inputs,
    outputs: model.outputs,
    async run(inputs) {
      try {
        return fromNative(await native.run(toNative(model.inputs, inputs)), model.outputs);
      } catch (cause) {
        if (isOutOfMemory(cause)) throw outOfMemory(label, cause);
        throw new HeadwaterError('RUNTIME_FAILED', `${label}: ${messageOf(cause)}`, { cause });
      }
    },
    release: () => native.release(),
  };
}

async function createNative(
  bytes: Uint8Array,
  folder: string,
  arena: boolean,
  options: NodeExecutorOptions & { readonly device: Device; readonly threads: number },
  label: string,
): Promise<InferenceSession> {
  try {
    return await InferenceSession.create(bytes, sessionOptions(folder, arena, options));
  } catch (cause) {
    if (isOutOfMemory(cause)) throw outOfMemory(label, cause);
    const code = options.device === 'cpu' ? 'RUNTIME_FAILED' : 'DEVICE_UNAVAILABLE';
    const hint = 'Run `headwater doctor` to see which devices work here.';
    throw new HeadwaterError(code, `${label} does not load on ${options.device}: ${messageOf(cause)}`, {
      cause,
      hint,
    });
  }
}

/**
 * Prepacking copies each frozen matrix (twice: forward and backward) and ConstantFolding expands 16-bit weights to
 * float32 at load; both are off by default so that the mapped file stays the only copy.
 */
function sessionOptions(
  folder: string,
  arena: boolean,
  options: NodeExecutorOptions & { readonly device: Device; readonly threads: number },
): InferenceSession.SessionOptions {
  const extra = {
    session: {
      disable_prepacking: options.prepack ? '0' : '1',
      intra_op: { allow_spinning: options.spinning ? '1' : '0' },
      ...(folder === '' ? {} : { model_external_initializers_file_folder_path: folder }),
    },
    ...(options.prepack ? {} : { optimization: { disable_specified_optimizers: 'ConstantFolding' } }),
  };
  return {
    // Our device names are the engine's provider names.
    executionProviders: [options.device],
    graphOptimizationLevel: 'all',
    intraOpNumThreads: options.threads,
    interOpNumThreads: 1,
    enableCpuMemArena: arena,
    executionMode: 'sequential',
    logSeverityLevel: 3,
    // A memory pattern is planned beside the arena that the first run already grew: a third more memory, no speed.
    enableMemPattern: false,
    ...(options.profilePrefix === undefined
      ? {}
      : { enableProfiling: true, profileFilePrefix: options.profilePrefix }),
    extra,
  };
}

/** What the system's allocator gives back to the kernel on each free, to be faulted in again on the next run. */
const LARGE_BYTES = 32 * 2 ** 20;

/**
 * An arena per session keeps what its largest run needed, for ever; without one all sessions of a thread share the
 * allocator's pages. The arena pays only when tensors are too large for those.
 */
function hasLargeTensor(graph: Graph): boolean {
  return needed(graph).some(
    (node) => node.inputs.length > 0 && node.outputs.some((out) => sizeBytes(out) > LARGE_BYTES),
  );
}

function placement(location: WeightLocation, folder: string): WeightPlacement {
  if (location.kind === 'memory') return { tensor: location.tensor };
  const { path, offsetBytes, lengthBytes } = location;
  return { location: path.slice(folder === '/' ? 1 : folder.length + 1), offsetBytes, lengthBytes };
}

/** The deepest folder that holds all shards; ONNX Runtime takes paths relative to one folder only. */
function commonFolder(locations: readonly WeightLocation[]): string {
  const folders = locations.flatMap((l) => (l.kind === 'file' ? [l.path.split(/[\\/]/).slice(0, -1)] : []));
  const [first, ...others] = folders;
  if (first === undefined) return '';
  let length = first.length;
  for (const other of others) {
    let same = 0;
    while (same < Math.min(length, other.length) && other[same] === first[same]) same++;
    length = same;
  }
  return first.slice(0, length).join('/') || '/';
}

function toNative(
  types: ReadonlyMap<string, TensorType>,
  inputs: ReadonlyMap<string, Tensor>,
): Record<string, OrtTensor> {
  const feeds: Record<string, OrtTensor> = {};
  for (const [name, type] of types) {
    const value = inputs.get(name);
    if (value === undefined) throw new Error(`input ${name} is missing`);
    if (value.dtype !== type.dtype || !fits(value.shape, type.shape))
      throw new Error(
        `input ${name} is ${value.dtype}[${value.shape}], expected ${type.dtype}[${type.shape}]`,
      );
    feeds[name] = new OrtTensor(value.dtype as 'float32', value.data as Float32Array, value.shape);
  }
  return feeds;
}

function fits(shape: readonly number[], expected: readonly number[]): boolean {
  return shape.length === expected.length && expected.every((size, i) => size === ANY || size === shape[i]);
}

function fromNative(
  results: InferenceSession.OnnxValueMapType,
  types: ReadonlyMap<string, TensorType>,
): Map<string, Tensor> {
  const outputs = new Map<string, Tensor>();
  for (const [name, type] of types) {
    const value = results[name] as OrtTensor;
    outputs.set(name, tensor(type.dtype as DType, type.shape, value.data as Float32Array));
  }
  return outputs;
}
