/**
 * What a client remembers of a round whose owners open the masks together: its update as it was trained, which never leaves it, and
 * the secrets of the attempt until they have done their work. One small record is the truth and is replaced whole.
 */

import { utf8ToBytes } from '@noble/hashes/utils.js';
import { z } from 'zod';
import { digest, trainingStats } from '../federation/wire/messages.ts';
import type { ClientState } from '../privacy/secure-aggregation/secagg-plus/client-state.ts';
import { jsonOrUndefined } from './body.ts';
import { digestOf, portableHasher } from './hashing.ts';
import type { ClientParts } from './ports.ts';

const record = z.strictObject({
  version: z.literal(1),
  round: z.int().positive(),
  taskId: z.string(),
  base: digest,
  update: digest,
  kept: digest.nullable(),
  stats: trainingStats,
  masking: z.strictObject({
    attempt: z.int().positive(),
    weight: z.int().positive(),
    fractionBits: z.int().nonnegative(),
    range: z.number().positive(),
  }),
  /** Attempts that were begun: keys of none of them are made twice. */
  begun: z.int().nonnegative(),
  /** A sum of this round was opened with our help: we take part in no second one. */
  opened: z.boolean(),
  /** Of the latest attempt; written by us alone. */
  state: z.custom<ClientState>((value) => typeof value === 'object' && value !== null).nullable(),
});

export type SecureRecord = z.infer<typeof record>;

export interface SecureRound extends SecureRecord {
  readonly updateBytes: Uint8Array;
  readonly keptBytes: Uint8Array | undefined;
}

export interface SecureMemory {
  /** Undefined: nothing, or it is damaged. */
  load(): Promise<SecureRound | undefined>;
  /** After a training, before anything is said. */
  begin(round: Omit<SecureRound, keyof SecureRecord> & Omit<SecureRecord, Made>): Promise<SecureRound>;
  change(round: SecureRound, change: Partial<Pick<SecureRecord, Changing>>): Promise<SecureRound>;
}

type Made = 'version' | 'update' | 'kept' | Exclude<Changing, 'masking'>;
type Changing = 'begun' | 'opened' | 'state' | 'masking';

const KEY = 'secure';

export function openSecureMemory({
  store,
  hasher = portableHasher,
}: Pick<ClientParts, 'store' | 'hasher'>): SecureMemory {
  const checked = async (name: string, expected: string) => {
    const bytes = await store.load(name);
    return bytes !== undefined && digestOf(hasher, bytes) === expected ? bytes : undefined;
  };
  const write = (value: SecureRecord) => store.save(KEY, utf8ToBytes(JSON.stringify(value)));
  return {
    async load() {
      const bytes = await store.load(KEY);
      const found = bytes === undefined ? undefined : record.safeParse(jsonOrUndefined(bytes)).data;
      if (found === undefined) return undefined;
      const updateBytes = await checked('secureupdate', found.update);
      const keptBytes = found.kept === null ? undefined : await checked('securekept', found.kept);
      if (updateBytes === undefined || (found.kept !== null && keptBytes === undefined)) return undefined;
      return { ...found, updateBytes, keptBytes };
    },
    async begin({ updateBytes, keptBytes, ...facts }) {
      await store.remove(KEY);
      await store.save('secureupdate', updateBytes);
      if (keptBytes !== undefined) await store.save('securekept', keptBytes);
      const made: SecureRecord = {
        ...facts,
        version: 1,
        update: digestOf(hasher, updateBytes),
        kept: keptBytes === undefined ? null : digestOf(hasher, keptBytes),
        ...{ begun: 0, opened: false, state: null },
      };
      await write(made);
      return { ...made, updateBytes, keptBytes };
    },
    async change({ updateBytes, keptBytes, ...before }, change) {
      const next = { ...before, ...change };
      await write(next);
      return { ...next, updateBytes, keptBytes };
    },
  };
}
