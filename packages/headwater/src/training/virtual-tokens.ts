/**
 * Virtual tokens before text: rows with the ids −1 … −P, whose embeddings a tuning kind gives (`virtual.as: tokens`).
 * Everything that is fed to a network passes here on its way into batches. Lengths that users give count real tokens.
 */

import { type BatchOptions, makeBatches } from '../data/batches.ts';
import type { Batch, TokenizedExample } from '../data/types.ts';
import type { ModelShape } from '../models/model.ts';
import type { VirtualPositions } from '../tuning/kind.ts';

type Virtual = VirtualPositions | undefined;

/** P, or 0 for kinds without such rows. */
export function numVirtualTokens(virtual: Virtual): number {
  return virtual?.as === 'tokens' ? virtual.count : 0;
}

/** Id of the i-th virtual token, from 0. */
export const virtualToken = (i: number): number => -1 - i;

/** −1 … −P, then the given ids. */
export function withVirtualTokens(tokens: Int32Array, virtual: Virtual): Int32Array {
  const count = numVirtualTokens(virtual);
  if (count === 0) return tokens;
  const all = new Int32Array(count + tokens.length);
  for (let i = 0; i < count; i++) all[i] = virtualToken(i);
  all.set(tokens, count);
  return all;
}

/** As `makeBatches` for examples behind virtual tokens; `maxLength` and the batches' `numTokens` count real tokens. */
export function batchesBehind(
  virtual: Virtual,
  examples: readonly TokenizedExample[],
  options: BatchOptions,
): Batch[] {
  const count = numVirtualTokens(virtual);
  if (count === 0) return makeBatches(examples, options);
  const longer = examples.map((example) => behind(example, count, virtual));
  const batches = makeBatches(longer, { ...options, maxLength: options.maxLength + count });
  return batches.map((batch) => ({
    ...batch,
    numTokens: batch.numTokens - count * batch.exampleIndices.length,
  }));
}

/** The first real token stays without a target, so that losses are comparable with those of other kinds. */
function behind(example: TokenizedExample, count: number, virtual: Virtual): TokenizedExample {
  const supervised = new Uint8Array(count + example.supervised.length);
  supervised.set(example.supervised, count);
  supervised[count] = 0;
  return { ...example, tokens: withVirtualTokens(example.tokens, virtual), supervised };
}

/** A model's sizes with the positions that are left for text. */
export function shapeForText(shape: ModelShape, virtual: Virtual): ModelShape {
  return { ...shape, maxPositionEmbeddings: shape.maxPositionEmbeddings - (virtual?.count ?? 0) };
}
