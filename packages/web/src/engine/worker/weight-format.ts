/**
 * A model whose 16-bit weights are read in another type: GPUs know no bfloat16, and float16 halves float32. The files stay as
 * they are; tensors are converted one at a time while a session is made.
 */

import { float32Values, narrowed } from '@headwater/base/half.ts';
import {
  arrayFromBytes,
  BYTES_PER_ELEMENT,
  bytesOf,
  type DTypeArrays,
  sizeOf,
  type Tensor,
} from '@headwater/base/tensor.ts';
import type { StoredFloat } from '@headwater/models/checkpoint.ts';
import type { Model } from '@headwater/models/model.ts';
import type { WeightLocation } from '@headwater/runtime/executor.ts';
import type { WeightFormat } from '../backend.ts';
import type { Reader } from './reader.ts';

/** Smaller tensors are not rounded: norms and biases cost nothing and shift whole activations. */
const ROUNDED_ELEMENTS = 2 ** 16;

/**
 * `float32`: bfloat16 and float16 widened, exactly. `float16`: matrices rounded to it, the rest as float32. `stored`: untouched.
 * Tensors in memory and blocks of integers stay what they are.
 */
export function weightsAs(model: Model, format: WeightFormat): Model {
  if (format === 'stored') return model;
  const storedTypes = new Map(
    [...model.storedTypes].map(([name, { dtype, shape }]) => {
      const isInMemory = model.weights.locate(name).kind === 'memory';
      return [name, { dtype: isInMemory ? dtype : typeIn(format, shape), shape }] as const;
    }),
  );
  return {
    ...model,
    storedTypes,
    weights: {
      locate(name) {
        const at = model.weights.locate(name);
        const to = storedTypes.get(name)?.dtype;
        return to === undefined || at.kind === 'memory' ? at : converted(at, to);
      },
    },
  };
}

function typeIn(format: 'float32' | 'float16', shape: readonly number[]): StoredFloat {
  return format === 'float16' && sizeOf(shape) >= ROUNDED_ELEMENTS ? 'float16' : 'float32';
}

type FileLocation = Extract<WeightLocation, { kind: 'file' }>;

/** The same place in a file that would hold the other type: every element at the same index. */
function converted(at: FileLocation, to: StoredFloat): WeightLocation {
  const from = at.type.dtype as StoredFloat;
  if (from === to) return at;
  const ratio = BYTES_PER_ELEMENT[to] / BYTES_PER_ELEMENT[from];
  return {
    kind: 'file',
    path: `${from}:${to}:${at.path}`,
    offsetBytes: at.offsetBytes * ratio,
    lengthBytes: at.lengthBytes * ratio,
    type: { dtype: to, shape: at.type.shape },
  };
}

/** Opens paths of converted models too. */
export function convertingOpener(open: (path: string) => Promise<Reader>): (path: string) => Promise<Reader> {
  return async (path) => {
    const [from, to, digest] = path.split(':');
    if (to === undefined || digest === undefined) return open(path);
    return convertingReader(await open(digest), from as StoredFloat, to as StoredFloat);
  };
}

function convertingReader(reader: Reader, from: StoredFloat, to: StoredFloat): Reader {
  const ratio = BYTES_PER_ELEMENT[to] / BYTES_PER_ELEMENT[from];
  return {
    sizeBytes: reader.sizeBytes * ratio,
    readInto(into, offsetBytes) {
      const bytes = new Uint8Array(into.byteLength / ratio);
      reader.readInto(bytes, offsetBytes / ratio);
      const values = arrayFromBytes(from, bytes) as DTypeArrays[StoredFloat];
      const floats = float32Values({ dtype: from, shape: [values.length], data: values } as Tensor);
      into.set(bytesOf(narrowed(to, [floats.length], floats).data));
    },
    close: () => reader.close(),
  };
}
