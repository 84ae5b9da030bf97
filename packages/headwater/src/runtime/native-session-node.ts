/**
 * One native session of onnxruntime-node in this thread. What it is made from is plain data, so that another thread can make it.
 */

import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { HeadwaterError, messageOf } from '../base/errors.ts';
import { isOutOfMemory, outOfMemory } from '../base/out-of-memory.ts';
import type { Tensor, TensorType } from '../base/tensor.ts';
import type { Device } from './executor.ts';
import { engineInputs, engineOutputs } from './session-tensors.ts';

export interface NativeOrder {
  /** For messages. */
  readonly label: string;
  /** ONNX, with paths of weights relative to `folder`. */
  readonly bytes: Uint8Array;
  readonly folder: string;
  /** Whether the session keeps its largest run's memory for itself. */
  readonly arena: boolean;
  readonly inputs: ReadonlyMap<string, TensorType>;
  readonly outputs: ReadonlyMap<string, TensorType>;
  readonly options: NativeOptions;
}

export interface NativeOptions {
  readonly device: Device;
  readonly threads: number;
  readonly spinning: boolean;
  readonly prepack: boolean;
  readonly profilePrefix?: string | undefined;
}

export interface NativeSession {
  run(inputs: ReadonlyMap<string, Tensor>): Promise<Map<string, Tensor>>;
  release(): Promise<void>;
}

/** Throws RUNTIME_FAILED, DEVICE_UNAVAILABLE, OUT_OF_MEMORY. */
export async function openNative(order: NativeOrder): Promise<NativeSession> {
  const { label, inputs: types, outputs } = order;
  const native = await createNative(order);
  return {
    async run(inputs) {
      try {
        return engineOutputs(outputs, await native.run(engineInputs(types, inputs, toNative)));
      } catch (cause) {
        if (isOutOfMemory(cause)) throw outOfMemory(label, cause);
        throw new HeadwaterError('RUNTIME_FAILED', `${label}: ${messageOf(cause)}`, { cause });
      }
    },
    release: () => native.release(),
  };
}

async function createNative(order: NativeOrder): Promise<InferenceSession> {
  const { label, bytes, options } = order;
  try {
    return await InferenceSession.create(bytes, sessionOptions(order));
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
function sessionOptions({ folder, arena, options }: NativeOrder): InferenceSession.SessionOptions {
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

function toNative({ dtype, data, shape }: Tensor): OrtTensor {
  return new OrtTensor(dtype as 'float32', data as Float32Array, shape);
}
