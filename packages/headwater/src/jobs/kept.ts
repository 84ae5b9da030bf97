/**
 * What stays with an owner between its rounds, as one set of tensors: personal tensors under their own names, a method's
 * memory and what a compression lost under prefixes that no model has. It knows no files.
 */

import type { Params } from '../base/tensor.ts';
import type { Kept } from '../federation/method.ts';
import { selectParams, underPrefix, withoutPrefix } from '../federation/params.ts';

const RESIDUAL = 'error-feedback:';
const MEMORY = 'method:';

export interface KeptParts extends Kept {
  /** Of the compression: what it has not sent yet. */
  readonly residual: Params | undefined;
}

/** Undefined: nothing to keep. */
export function keptOf({ personal, memory, residual }: KeptParts): Params | undefined {
  const kept = new Map([
    ...personal,
    ...underPrefix(RESIDUAL, residual ?? NOTHING),
    ...underPrefix(MEMORY, memory ?? NOTHING),
  ]);
  return kept.size === 0 ? undefined : kept;
}

export function partsOf(kept: Params = NOTHING): KeptParts {
  return {
    personal: selectParams(kept, (name) => !name.startsWith(RESIDUAL) && !name.startsWith(MEMORY)),
    memory: partOf(kept, MEMORY),
    residual: partOf(kept, RESIDUAL),
  };
}

const NOTHING: Params = new Map();

function partOf(kept: Params, prefix: string): Params | undefined {
  const part = withoutPrefix(prefix, kept);
  return part.size === 0 ? undefined : part;
}
