/** How many bits a recipe wants for base weights, and the identity of a model that computes with them. */

import type { BlockFormat } from '../graph/ops/index.ts';
import { QUANTIZATION_BITS, quantizedDigest } from './quantized-format.ts';

/** As a recipe says it. */
export interface QuantizationChoice {
  readonly kind: 'none' | keyof typeof QUANTIZATION_BITS;
  readonly blockSize: 32 | 64;
  /** Where they lie. Omitted: beside the checkpoint, else in the cache. */
  readonly folder?: string | undefined;
}

/** The format that a choice means; undefined: weights as they are stored. */
export function blockFormatOf({ kind, blockSize }: QuantizationChoice): BlockFormat | undefined {
  return kind === 'none' ? undefined : { bits: QUANTIZATION_BITS[kind], blockSize };
}

/** Identity of a model that computes as the choice says, from that of its checkpoint. */
export function computingDigest(sourceDigest: string, choice: QuantizationChoice): string {
  const format = blockFormatOf(choice);
  return format === undefined ? sourceDigest : quantizedDigest(sourceDigest, format);
}
