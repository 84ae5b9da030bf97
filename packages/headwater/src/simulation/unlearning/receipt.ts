/**
 * The receipt of an unlearning: what was asked, what was done, whether it is exact, and what the model knew of the owner before and
 * after, beside the model that was trained without it. Plain JSON, whose canonical form is signed or logged by who can.
 */

import { canonicalJson, digestJson } from '../../base/canonical.ts';
import type { Forgetting } from './measure.ts';
import type { StoredRun } from './stored-run.ts';
import type { Unlearned } from './unlearn.ts';

export interface Receipt {
  readonly type: 'unlearned';
  readonly version: 1;
  readonly run: string;
  readonly owner: string;
  readonly method: string;
  readonly exact: boolean;
  readonly statement: string;
  /** Digests: of the params that knew the owner, and of those that came out (null: several adapters with weights). */
  readonly before: string | null;
  readonly after: string | null;
  readonly adapters: readonly { readonly folder: string; readonly weight: number }[];
  readonly seconds: number;
  readonly measures: {
    readonly before: Forgetting;
    readonly after: Forgetting;
    /** Null: nothing was trained without the owner. */
    readonly retrained: Forgetting | null;
  };
}

export interface SignedReceipt {
  readonly receipt: Receipt;
  /** Base64url; null: nobody signed it. */
  readonly operatorKey: string | null;
  readonly signature: string | null;
}

export interface Measured {
  readonly before: Forgetting;
  readonly after: Forgetting;
  readonly retrained: Forgetting | null;
}

export function receiptOf(
  { prepared, state }: Pick<StoredRun, 'prepared' | 'state'>,
  owner: string,
  { method, exact, statement, params, adapters, seconds }: Omit<Unlearned, 'model'>,
  measures: Measured,
  before: string,
): Receipt {
  return {
    type: 'unlearned',
    version: 1,
    run: `${prepared.recipe.name} ${digestJson(state.plan)}`,
    ...{ owner, method, exact, statement, before, after: params, adapters, seconds, measures },
  };
}

/** What is signed: begins otherwise than anything else that an operator’s key signs. */
export function receiptBytes(receipt: Receipt): Uint8Array {
  return new TextEncoder().encode(`headwater-unlearning/v1\n${canonicalJson(receipt)}`);
}
