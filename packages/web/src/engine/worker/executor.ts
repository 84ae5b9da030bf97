/**
 * The Executor port on onnxruntime-web, for one worker. WebAssembly has at most 4 GB and shares no weights between sessions, so
 * sessions that have not run for the longest time give theirs back, and are made again from storage when they are needed.
 */

import { HeadwaterError, messageOf } from '@headwater/base/errors.ts';
import { isOutOfMemory, outOfMemory } from '@headwater/base/out-of-memory.ts';
import { sizeBytes, type Tensor } from '@headwater/base/tensor.ts';
import type { Graph, KernelSet } from '@headwater/graph/ir.ts';
import { type OnnxModel, type WeightPlacement, writeOnnx } from '@headwater/graph/onnx/writer.ts';
import type {
  Executor,
  Session,
  SessionOptions,
  WeightLocation,
  WeightSource,
} from '@headwater/runtime/executor.ts';
import { engineInputs, engineOutputs } from '@headwater/runtime/session-tensors.ts';
import type * as OrtWeb from 'onnxruntime-web';
import type { BackendChoice } from '../backend.ts';
import { externalFile } from './external-file.ts';
import { loadOrt, type Ort } from './ort.ts';
import type { Reader } from './reader.ts';
import { type InTurn, turnstile } from './turnstile.ts';

export interface WebExecutorOptions {
  readonly choice: BackendChoice;
  /** Opens what a weight's location names. */
  readonly openFile: (path: string) => Promise<Reader>;
  /** Frozen weights of all sessions together; default 1.5 GB. One session may have more. */
  readonly maxWeightBytes?: number;
  readonly kernels?: KernelSet;
  readonly prepack?: boolean;
  /** Fails where an operator would run on the CPU though the backend is WebGPU. For tests. */
  readonly noFallback?: boolean;
}

const DEFAULT_WEIGHT_BYTES = 1.5e9;

interface Held {
  readonly label: string;
  readonly weightBytes: number;
  native: OrtWeb.InferenceSession | undefined;
  usedAt: number;
}

/** Throws DEVICE_UNAVAILABLE when ONNX Runtime's files do not load. */
export async function createWebExecutor(options: WebExecutorOptions): Promise<Executor> {
  const { choice, maxWeightBytes = DEFAULT_WEIGHT_BYTES, prepack = false } = options;
  const ort = await loadOrt(choice);
  const kernels = options.kernels ?? (choice.backend === 'webgpu' ? 'portable' : 'cpu');
  const held = new Set<Held>();
  let runs = 0;
  // ONNX Runtime has one heap.
  const inTurn = turnstile();

  const makeRoom = async (wanted: Held) => {
    const open = [...held].filter((other) => other.native !== undefined && other !== wanted);
    let total = wanted.weightBytes + open.reduce((sum, { weightBytes }) => sum + weightBytes, 0);
    for (const oldest of open.sort((a, b) => a.usedAt - b.usedAt)) {
      if (total <= maxWeightBytes) return;
      await release(oldest);
      total -= oldest.weightBytes;
    }
  };

  return {
    device: choice.backend === 'webgpu' ? 'webgpu' : 'cpu',
    threads: choice.threads,
    kernels,
    replicas: 1,
    async load(graph, weights, { label = 'graph', prepack: packed = prepack }: SessionOptions = {}) {
      const locations = locate(graph, weights);
      const model = writeOnnx(graph, { kernels, place: (name) => placement(locations.get(name)!), packed });
      const session: Held = { label, weightBytes: bytesOf(locations), native: undefined, usedAt: 0 };
      const open = async () => {
        session.usedAt = ++runs;
        if (session.native !== undefined) return session.native;
        await makeRoom(session);
        session.native = await create(ort, model, [...locations.values()], options, packed, label);
        return session.native;
      };
      held.add(session);
      await inTurn(open);
      return sessionOf(ort, model, label, { open, inTurn, release: () => drop(held, session, inTurn) });
    },
    dispose: () =>
      inTurn(async () => {
        for (const session of held) await release(session);
        held.clear();
      }),
  };
}

async function release(session: Held): Promise<void> {
  const { native } = session;
  session.native = undefined;
  await native?.release();
}

function drop(held: Set<Held>, session: Held, inTurn: InTurn): Promise<void> {
  held.delete(session);
  return inTurn(() => release(session));
}

interface SessionParts {
  readonly open: () => Promise<OrtWeb.InferenceSession>;
  readonly inTurn: InTurn;
  readonly release: () => Promise<void>;
}

function sessionOf(ort: Ort, model: OnnxModel, label: string, parts: SessionParts): Session {
  const toNative = ({ dtype, data, shape }: Tensor) =>
    new ort.Tensor(dtype as 'float32', data as Float32Array, shape);
  return {
    inputs: model.inputs,
    outputs: model.outputs,
    run: (inputs) =>
      parts.inTurn(async () => {
        const native = await parts.open();
        try {
          return engineOutputs(model.outputs, await native.run(engineInputs(model.inputs, inputs, toNative)));
        } catch (cause) {
          throw failed(label, cause);
        }
      }),
    release: parts.release,
  };
}

async function create(
  ort: Ort,
  model: OnnxModel,
  locations: readonly WeightLocation[],
  options: WebExecutorOptions,
  packed: boolean,
  label: string,
): Promise<OrtWeb.InferenceSession> {
  const paths = new Set(locations.flatMap((at) => (at.kind === 'file' ? [at.path] : [])));
  const readers = new Map<string, Reader>();
  try {
    for (const path of paths) readers.set(path, await options.openFile(path));
    const externalData = [...readers].map(([path, reader]) => ({ path, data: externalFile(reader) }));
    const settings = { ...sessionOptions(options, packed), externalData };
    return await ort.InferenceSession.create(model.bytes, settings);
  } catch (cause) {
    throw failed(`${label} does not load`, cause);
  } finally {
    for (const reader of readers.values()) reader.close();
  }
}

/** As in onnx-node.ts: neither repacked copies of frozen matrices, unless asked for, nor folded float32 copies of 16-bit ones. */
function sessionOptions(
  { choice, noFallback = false }: WebExecutorOptions,
  packed: boolean,
): OrtWeb.InferenceSession.SessionOptions {
  return {
    executionProviders: [choice.backend === 'webgpu' ? 'webgpu' : 'wasm'],
    graphOptimizationLevel: 'all',
    executionMode: 'sequential',
    logSeverityLevel: 3,
    enableMemPattern: false,
    extra: {
      session: {
        disable_prepacking: packed ? '0' : '1',
        ...(noFallback ? { disable_cpu_ep_fallback: '1' } : {}),
      },
      ...(packed ? {} : { optimization: { disable_specified_optimizers: 'ConstantFolding' } }),
    },
  };
}

function failed(label: string, cause: unknown): HeadwaterError {
  if (cause instanceof HeadwaterError) return cause;
  // WebAssembly's allocator and the GPU's say it in their own words.
  if (isOutOfMemory(cause) || /out of memory|bad_alloc|OOM|allocate/i.test(messageOf(cause)))
    return outOfMemory(label, cause);
  return new HeadwaterError('RUNTIME_FAILED', `${label}: ${messageOf(cause)}`, { cause });
}

function locate(graph: Graph, weights: WeightSource): Map<string, WeightLocation> {
  return new Map([...graph.weights.keys()].map((name) => [name, weights.locate(name)]));
}

function bytesOf(locations: ReadonlyMap<string, WeightLocation>): number {
  return [...locations.values()].reduce(
    (sum, at) => sum + (at.kind === 'file' ? at.lengthBytes : sizeBytes(at.tensor)),
    0,
  );
}

function placement(location: WeightLocation): WeightPlacement {
  if (location.kind === 'memory') return { tensor: location.tensor };
  const { path, offsetBytes, lengthBytes } = location;
  return { location: path, offsetBytes, lengthBytes };
}
