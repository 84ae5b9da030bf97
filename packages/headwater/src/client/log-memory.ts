/**
 * What a client remembers of the run's transparency log: the last head that it saw, and accepted updates whose entry it has not
 * seen yet. It survives restarts, so that a coordinator cannot tell one story before and another one after.
 */

import { utf8ToBytes } from '@noble/hashes/utils.js';
import { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';
import { digest, signedHead } from '../federation/wire/messages.ts';
import { jsonOrUndefined } from './body.ts';
import type { ClientStore } from './ports.ts';

const seen = z.strictObject({
  version: z.literal(1),
  /** Null: none yet. */
  head: signedHead.nullable(),
  unproven: z.array(z.strictObject({ round: z.int().positive(), update: digest })).max(100_000),
});

export type SeenLog = z.infer<typeof seen>;
type SeenHead = NonNullable<SeenLog['head']>;

const KEY = 'log';
const EVIDENCE = 'fork';

/** Throws STORAGE_FAILED: what was seen must not be forgotten by damage, or a forked log would pass. */
export async function loadSeen(store: Pick<ClientStore, 'load'>): Promise<SeenLog> {
  const bytes = await store.load(KEY);
  if (bytes === undefined) return { version: 1, head: null, unproven: [] };
  const result = seen.safeParse(jsonOrUndefined(bytes));
  if (result.success) return result.data;
  throw new HeadwaterError('STORAGE_FAILED', 'what this client remembers of the run’s log is damaged', {
    hint: 'Restore the state folder from a backup, or join with a new one and a new invitation.',
  });
}

export async function saveSeen(store: Pick<ClientStore, 'save'>, value: SeenLog): Promise<void> {
  await store.save(KEY, utf8ToBytes(JSON.stringify(value)));
}

/** The owner takes the log as it is now: its operator restored a backup. */
export async function forgetSeen(store: Pick<ClientStore, 'remove'>): Promise<void> {
  await store.remove(KEY);
}

/** Of the fork that was met last; undefined: none. */
export function loadEvidence(store: Pick<ClientStore, 'load'>): Promise<Uint8Array | undefined> {
  return store.load(EVIDENCE);
}

/** Both signed heads: whoever has them can show that the operator signed two logs that exclude each other. */
export async function saveEvidence(
  store: Pick<ClientStore, 'save'>,
  run: string,
  heads: { readonly seen: SeenHead | null; readonly got: SeenHead },
  proof: readonly string[],
): Promise<void> {
  await store.save(EVIDENCE, utf8ToBytes(JSON.stringify({ run, ...heads, proof }, null, 2)));
}
