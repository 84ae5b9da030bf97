/**
 * What stays with an owner between its rounds, as one set of tensors: personal tensors under their own names, a method's
 * memory and what a compression lost under prefixes that no model has. It knows no files.
 */

import type { Params, Tensor } from '../base/tensor.ts';
import type { Kept } from '../federation/method.ts';

const RESIDUAL = 'error-feedback:';
const MEMORY = 'method:';

export interface KeptParts extends Kept {
  /** Of the compression: what it has not sent yet. */
  readonly residual: Params | undefined;
}

/** Undefined: nothing to keep. */
export function keptOf({ personal, memory, residual }: KeptParts): Params | undefined {
  const named = (prefix: string, part: Params | undefined) =>
    [...(part ?? [])].map(([name, value]) => [prefix + name, value] as const);
  const kept = new Map<string, Tensor<'float32'>>([
    ...personal,
    ...named(RESIDUAL, residual),
    ...named(MEMORY, memory),
  ]);
  return kept.size === 0 ? undefined : kept;
}

export function partsOf(kept: Params | undefined): KeptParts {
  const personal = [...(kept ?? [])].filter(
    ([name]) => !name.startsWith(RESIDUAL) && !name.startsWith(MEMORY),
  );
  return {
    personal: new Map(personal),
    memory: partOf(kept, MEMORY),
    residual: partOf(kept, RESIDUAL),
  };
}

function partOf(kept: Params | undefined, prefix: string): Params | undefined {
  const part = [...(kept ?? [])].filter(([name]) => name.startsWith(prefix));
  return part.length === 0
    ? undefined
    : new Map(part.map(([name, value]) => [name.slice(prefix.length), value]));
}
