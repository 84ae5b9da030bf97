/**
 * The examination of an update's bytes before it may be counted: format, names, shapes, finite values. A bad update costs
 * its sender the round, never the run.
 */

import { HeadwaterError } from '../base/errors.ts';
import { firstNonFinite } from '../base/half.ts';
import { type Params, sameShape } from '../base/tensor.ts';
import type { TrainableTensor } from '../tuning/kind.ts';
import type { RejectionCode, UpdateCheck } from './events.ts';
import { decodeParams, l2Norm } from './params.ts';

/** `expected`: the tensors that travel in this round. `maxNorm`: the longest update that is accepted. */
export function checkUpdateBytes(
  bytes: Uint8Array,
  expected: readonly TrainableTensor[],
  maxNorm: number | null = null,
): UpdateCheck {
  let update: Params;
  try {
    update = decodeParams(bytes);
  } catch (error) {
    if (!(error instanceof HeadwaterError)) throw error;
    return refused('format', error.message);
  }
  return checkUpdate(update, expected, maxNorm);
}

export function checkUpdate(
  update: Params,
  expected: readonly TrainableTensor[],
  maxNorm: number | null = null,
): UpdateCheck {
  const layout = layoutDefect(update, expected);
  if (layout !== undefined) return refused('shape', layout);
  const value = valueDefect(update);
  if (value !== undefined) return refused('not-finite', value);
  const norm = l2Norm(update);
  if (maxNorm !== null && norm > maxNorm)
    return refused('norm', `its length is ${norm}, the run takes at most ${maxNorm}`);
  return { ok: true, l2Norm: norm };
}

function refused(code: RejectionCode, reason: string): UpdateCheck {
  return { ok: false, code, reason };
}

function layoutDefect(update: Params, expected: readonly TrainableTensor[]): string | undefined {
  for (const { name, shape } of expected) {
    const got = update.get(name);
    if (got === undefined) return `tensor "${name}" is missing`;
    if (!sameShape(got.shape, shape)) return `tensor "${name}" has shape [${got.shape}], expected [${shape}]`;
  }
  if (update.size === expected.length) return undefined;
  const known = new Set(expected.map(({ name }) => name));
  const unknown = [...update.keys()].find((name) => !known.has(name));
  return `tensor "${unknown}" is not part of this run`;
}

function valueDefect(update: Params): string | undefined {
  for (const [name, value] of update) {
    const at = firstNonFinite(value);
    if (at >= 0) return `tensor "${name}" has ${value.data[at]} at element ${at}`;
  }
  return undefined;
}
