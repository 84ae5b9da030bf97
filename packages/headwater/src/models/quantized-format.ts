/**
 * Base weights as blocks of small integers beside a checkpoint: a folder with `quantized.safetensors` and `quantization.json`.
 * Names, shapes and what belongs into the two files; it reads and writes nothing.
 *
 * Quantized are the linear modules of the blocks. Embeddings are read by rows and norms are small, so neither costs memory; the
 * vocabulary matrix and classification heads turn rounding errors straight into logits.
 */

import { z } from 'zod';
import { digestJson } from '../base/canonical.ts';
import type { TensorType } from '../base/tensor.ts';
import { type BlockFormat, blockShapes } from '../graph/ops/index.ts';
import type { LinearModule, ModelDefinition } from './model.ts';

export const QUANTIZED_WEIGHTS = 'quantized.safetensors';
export const QUANTIZED_ENTRY = 'quantization.json';

/** Changes with anything that would give other bytes for the same checkpoint. */
const FORMAT = 'headwater-blocks-1';

/** Kinds of a recipe and the bits that they mean. */
export const QUANTIZATION_BITS = { int8: 8, int4: 4 } as const;

const digest = z.string().regex(/^[0-9a-f]{64}$/);

/** `quantization.json`. */
export const quantizedEntry = z.strictObject({
  format: z.literal(FORMAT),
  bits: z.union([z.literal(4), z.literal(8)]),
  blockSize: z.union([z.literal(32), z.literal(64)]),
  modules: z.array(z.string()),
  /** The checkpoint that was rounded, and how its files looked: while they look the same they are not read again. */
  source: z.strictObject({
    digest,
    files: z.array(z.strictObject({ name: z.string(), sizeBytes: z.int(), modifiedMs: z.number() })),
  }),
  /** Of `quantized.safetensors`. */
  weights: z.strictObject({ sizeBytes: z.int(), digest }),
});

export type QuantizedEntry = z.infer<typeof quantizedEntry>;

export function newEntry(about: Omit<QuantizedEntry, 'format'>): QuantizedEntry {
  return { format: FORMAT, ...about };
}

/** Modules whose in-features are whole blocks; the others stay as the checkpoint has them. */
export function quantizedModules(
  { linears }: Pick<ModelDefinition, 'linears'>,
  { blockSize }: BlockFormat,
): LinearModule[] {
  return linears.filter(({ role, inFeatures }) => role !== 'head' && inFeatures % blockSize === 0);
}

export type QuantizedPart = 'packed' | 'scales' | 'zeroPoints';

/** Tensor of a module in `quantized.safetensors`, and of the graph. */
export function quantizedName(module: string, part: QuantizedPart): string {
  return `${module}.weight.${part}`;
}

/** Types of the three tensors of a module, by part. */
export function quantizedTypes(
  { outFeatures, inFeatures }: Pick<LinearModule, 'outFeatures' | 'inFeatures'>,
  format: BlockFormat,
): Readonly<Record<QuantizedPart, TensorType>> {
  const shapes = blockShapes(outFeatures, inFeatures, format);
  return {
    packed: { dtype: 'uint8', shape: shapes.packed },
    scales: { dtype: 'float32', shape: shapes.scales },
    zeroPoints: { dtype: 'uint8', shape: shapes.zeroPoints },
  };
}

/** Identity of a model that computes with rounded weights: rounding is a function of the checkpoint and of the format. */
export function quantizedDigest(sourceDigest: string, { bits, blockSize }: BlockFormat): string {
  return digestJson({ source: sourceDigest, format: FORMAT, bits, blockSize });
}
