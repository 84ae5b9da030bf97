/** An update → the file that travels, and what the client keeps of it. Used by clients only; equal input gives equal bytes. */

import type { Rng } from '../../base/random.ts';
import { type Params, type Tensor, type TensorData, tensor } from '../../base/tensor.ts';
import { layoutSafetensors, writeSafetensors } from '../../models/safetensors.ts';
import type { TrainableTensor } from '../../tuning/kind.ts';
import type { BoundCompression, EncodedPart } from './compression.ts';

/** Of the safetensors metadata: which compression. Absent in plain float32 files, which are what they always were. */
export const ENCODING_KEY = 'encoding';
const PLAIN = 'none';

export interface EncodedUpdate {
  readonly bytes: Uint8Array;
  /** What the encoding lost, for the next update; undefined where nothing is kept. */
  readonly residual: Params | undefined;
}

/**
 * `residual`: what the last accepted update of this client lost. `random`: of this run, owner and round.
 * With error feedback the coordinator decodes D(E(u + e)) and the client keeps e ← u + e − D(E(u + e)).
 */
export function encodeUpdate(
  compression: BoundCompression,
  update: Params,
  random: Rng,
  residual: Params | undefined,
): EncodedUpdate {
  const parts = new Map<string, Tensor>();
  const left = new Map<string, Tensor<'float32'>>();
  for (const [name, value] of update) {
    const values = corrected(value.data, compression.errorFeedback ? residual?.get(name)?.data : undefined);
    const { side, main } = compression.encode(values, random.split(name));
    const layout = compression.layout(value.shape);
    if (layout.side !== undefined) parts.set(name + layout.side.suffix, typed(layout.side, side!));
    parts.set(name + layout.main.suffix, typed(layout.main, main));
    if (compression.errorFeedback)
      left.set(name, tensor('float32', value.shape, minus(values, compression.decode(main, 0, side))));
  }
  const bytes = writeSafetensors(parts, metadataOf(compression));
  return { bytes, residual: compression.errorFeedback ? left : undefined };
}

/** Size of an encoded update in bytes: the tensors decide, not their values. */
export function encodedUpdateBytes(
  compression: BoundCompression,
  tensors: readonly TrainableTensor[],
): number {
  const types = tensors.flatMap(({ name, shape }) => {
    const { side, main } = compression.layout(shape);
    return [...(side === undefined ? [] : [side]), main].map(
      ({ suffix, type }) => [name + suffix, type] as const,
    );
  });
  return layoutSafetensors(new Map(types), metadataOf(compression)).fileBytes;
}

/** What the metadata of a file say about its encoding. */
export function encodingOf(metadata: ReadonlyMap<string, string>): string {
  return metadata.get(ENCODING_KEY) ?? PLAIN;
}

function metadataOf({ id }: BoundCompression): ReadonlyMap<string, string> | undefined {
  return id === PLAIN
    ? undefined
    : new Map([
        ['format', 'pt'],
        [ENCODING_KEY, id],
      ]);
}

function typed({ type }: EncodedPart, data: TensorData): Tensor {
  return { ...type, data } as Tensor;
}

function corrected(values: Float32Array, residual: Float32Array | undefined): Float32Array {
  if (residual === undefined) return values;
  const sum = new Float32Array(values.length);
  for (let i = 0; i < sum.length; i++) sum[i] = values[i]! + residual[i]!;
  return sum;
}

function minus(
  values: Float32Array,
  decoded: { readonly values: Float32Array; readonly indices?: Int32Array },
): Float32Array {
  const rest = values.slice();
  const { values: sent, indices } = decoded;
  for (let i = 0; i < sent.length; i++) {
    const at = indices === undefined ? i : indices[i]!;
    rest[at] = rest[at]! - sent[i]!;
  }
  return rest;
}
