/**
 * The file of a model's rounded weights, piece by piece: one matrix in memory at a time. Where the matrices come from and where
 * the pieces go is the caller's.
 */

import { HeadwaterError } from '../base/errors.ts';
import { firstNonFinite } from '../base/half.ts';
import { bytesOf, sameShape, type TensorType, tensor } from '../base/tensor.ts';
import type { BlockFormat } from '../graph/ops/index.ts';
import type { LinearModule } from './model.ts';
import { quantizeMatrix } from './quantize-blocks.ts';
import { type QuantizedPart, quantizedName, quantizedTypes } from './quantized-format.ts';
import { layoutSafetensors } from './safetensors.ts';
import type { SafetensorsEntry } from './safetensors-header.ts';

/** Size of the file that `quantizedPieces` fills. */
export function quantizedFileBytes(modules: readonly LinearModule[], format: BlockFormat): number {
  return layoutSafetensors(typesOf(modules, format)).fileBytes;
}

export interface QuantizedPiece {
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
  /** Modules that are complete with it. */
  readonly done: number;
}

/** `read`: a weight of the checkpoint as float32. Throws MODEL_INVALID where one has NaN or infinity. */
export async function* quantizedPieces(
  modules: readonly LinearModule[],
  format: BlockFormat,
  read: (name: string) => Promise<Float32Array>,
): AsyncGenerator<QuantizedPiece> {
  const { header, starts } = layoutSafetensors(typesOf(modules, format));
  yield { offsetBytes: 0, bytes: header, done: 0 };
  for (const [i, { module, outFeatures, inFeatures, stored }] of modules.entries()) {
    const values = finite(await read(`${module}.weight`), `${module}.weight`);
    const arrays = quantizeMatrix(values, [outFeatures, inFeatures], format, stored === 'in-out');
    for (const [part, data] of Object.entries(arrays) as [QuantizedPart, Uint8Array][])
      yield {
        offsetBytes: starts.get(quantizedName(module, part))!,
        bytes: bytesOf(data),
        done: part === 'zeroPoints' ? i + 1 : i,
      };
  }
}

/** Where the three tensors of every module lie. Throws MODEL_INVALID where one is missing or of another type. */
export function locateQuantized(
  modules: readonly LinearModule[],
  format: BlockFormat,
  entries: ReadonlyMap<string, SafetensorsEntry>,
): Map<string, SafetensorsEntry & { readonly type: TensorType }> {
  const locations = new Map<string, SafetensorsEntry & { readonly type: TensorType }>();
  for (const [name, type] of typesOf(modules, format)) {
    const found = entries.get(name);
    if (found?.dtype !== type.dtype || !sameShape(found.shape, type.shape))
      throw new HeadwaterError(
        'MODEL_INVALID',
        `quantized weights: tensor "${name}" is ${found === undefined ? 'missing' : `${found.format} [${found.shape}]`}, expected ${type.dtype} [${type.shape}]`,
        { hint: 'Round the model again: remove what was made of it before.' },
      );
    locations.set(name, { ...found, type });
  }
  return locations;
}

function typesOf(modules: readonly LinearModule[], format: BlockFormat): Map<string, TensorType> {
  return new Map(
    modules.flatMap((module) =>
      Object.entries(quantizedTypes(module, format)).map(
        ([part, type]) => [quantizedName(module.module, part as QuantizedPart), type] as const,
      ),
    ),
  );
}

function finite(values: Float32Array, name: string): Float32Array {
  const at = firstNonFinite(tensor('float32', [values.length], values));
  if (at < 0) return values;
  throw new HeadwaterError('MODEL_INVALID', `tensor "${name}" has NaN or infinity at element ${at}`, {
    hint: 'The base model is broken; no training can repair it. Get another copy.',
  });
}
