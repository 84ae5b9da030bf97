/**
 * Products with a vocabulary matrix, large and frozen in 16 bits as it may be: then it is widened in pieces, one at a time,
 * and never whole. M rows, D hidden, V vocabulary.
 */

import { tensor } from '../base/tensor.ts';
import { availableAfter } from './available-after.ts';
import type { Value } from './ir.ts';
import { add, concat, gather, isLargeCast, matmul, slice } from './ops/index.ts';
import { logitsOf, type Projection } from './projection.ts';
import { dim } from './shapes.ts';

/** Bytes that a widened piece may take. */
const PIECE_BYTES = 32 * 1024 * 1024;

/** Logits [M, V] as `logitsOf` gives them. */
export function vocabularyLogits(projection: Projection, pieceBytes = PIECE_BYTES): Value {
  const { rows, weight, bias } = projection;
  const pieces = ranges(weight, pieceBytes);
  if (pieces.length === 1) return logitsOf(projection);
  const parts = pieces.map((range) => {
    const part = bias === undefined ? {} : { bias: slice(bias, { axis: 0, ...range }) };
    return logitsOf({ ...projection, ...part, weight: piece(weight, range, rows) });
  });
  return concat(parts, 1);
}

/** spread W: [M, V] → [M, D]. */
export function vocabularyMix(spread: Value, weight: Value, pieceBytes = PIECE_BYTES): Value {
  const pieces = ranges(weight, pieceBytes);
  if (pieces.length === 1) return matmul(spread, weight);
  return pieces
    .map((range) => matmul(slice(spread, { axis: 1, ...range }), piece(weight, range, spread)))
    .reduce(add);
}

interface Range {
  readonly start: number;
  readonly end: number;
}

function ranges(weight: Value, pieceBytes: number): Range[] {
  const [V, D] = [dim(weight.shape, 0), dim(weight.shape, 1)];
  const count = isLargeCast(weight) ? Math.ceil((4 * V * D) / pieceBytes) : 1;
  const rows = Math.ceil(V / count);
  return Array.from({ length: Math.ceil(V / rows) }, (_, i) => ({
    start: i * rows,
    end: Math.min(V, (i + 1) * rows),
  }));
}

/** Rows of W, widened once `before` is known: earlier, or merged with those of another product, they would stay. */
function piece(weight: Value, { start, end }: Range, before: Value): Value {
  const rows = Int32Array.from({ length: end - start }, (_, i) => start + i);
  const ids = weight.graph.constant(tensor('int32', [rows.length], rows));
  return gather(weight, availableAfter(ids, [before]));
}
