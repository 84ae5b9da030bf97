/**
 * The examination of an update's bytes before it may be counted: format, encoding, names, shapes, finite values, length. A
 * bad update costs its sender the round, never the run.
 */

import type { TrainableTensor } from '../tuning/kind.ts';
import type { BoundCompression } from './compression/compression.ts';
import { plain } from './compression/none.ts';
import type { UpdateCheck } from './events.ts';
import { createUpdateReader, UpdateFault, type UpdateReader } from './update-reader.ts';

/** A check that knows the length. */
export type MeasuredUpdate =
  | { readonly ok: true; readonly l2Norm: number }
  | Extract<UpdateCheck, { readonly ok: false }>;

export interface UpdateRules {
  /** Default: float32 as it is. */
  readonly compression?: BoundCompression;
  /** Largest ‖update‖₂ that is accepted, as decoded; null: any. */
  readonly maxNorm?: number | null;
}

/** `expected`: the tensors that travel in the round. */
export function checkUpdateBytes(
  bytes: Uint8Array,
  expected: readonly TrainableTensor[],
  rules: UpdateRules = {},
): MeasuredUpdate {
  const check = updateCheck(expected, rules);
  try {
    check.reader.push(bytes);
    check.reader.end();
    return check.verdict();
  } catch (error) {
    return refusal(error);
  }
}

/** The same for bytes that arrive in pieces, in constant memory. Errors of the source are thrown on. */
export async function checkUpdateStream(
  source: AsyncIterable<Uint8Array>,
  expected: readonly TrainableTensor[],
  rules: UpdateRules = {},
): Promise<MeasuredUpdate> {
  const check = updateCheck(expected, rules);
  try {
    for await (const piece of source) check.reader.push(piece);
    check.reader.end();
    return check.verdict();
  } catch (error) {
    return refusal(error);
  }
}

/** ‖update‖₂ = √Σx² in float64, in file order. */
function updateCheck(
  expected: readonly TrainableTensor[],
  { compression = plain, maxNorm = null }: UpdateRules,
): { readonly reader: UpdateReader; verdict(): MeasuredUpdate } {
  let sum = 0;
  const reader = createUpdateReader(expected, compression, (_index, _begin, values) => {
    let partial = sum;
    for (let i = 0; i < values.length; i++) partial += values[i]! * values[i]!;
    sum = partial;
  });
  return {
    reader,
    verdict() {
      const l2Norm = Math.sqrt(sum);
      if (maxNorm === null || l2Norm <= maxNorm) return { ok: true, l2Norm };
      const reason = `its length is ${l2Norm}, the run takes at most ${maxNorm}`;
      return { ok: false, code: 'norm', reason };
    },
  };
}

function refusal(error: unknown): MeasuredUpdate {
  if (error instanceof UpdateFault) return { ok: false, code: error.code, reason: error.message };
  throw error;
}
