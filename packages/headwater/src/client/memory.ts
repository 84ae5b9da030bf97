/**
 * What a client remembers between rounds and across crashes. One small record is the truth and is replaced whole; large
 * values lie beside it under two alternating names, so that nothing is current before the record says so, and what a crash
 * leaves behind is overwritten later.
 */

import { utf8ToBytes } from '@noble/hashes/utils.js';
import { z } from 'zod';
import { digest, maskedFacts, trainingStats } from '../federation/wire/messages.ts';
import { jsonOrUndefined } from './body.ts';
import { digestOf, portableHasher } from './hashing.ts';
import type { ClientParts, ClientStore } from './ports.ts';

const slotted = z.strictObject({ slot: z.union([z.literal(0), z.literal(1)]), digest });

const record = z.strictObject({
  version: z.literal(1),
  /** What the last accepted training left. */
  kept: slotted.nullable(),
  /** Trained, and its receipt not seen yet. */
  pending: z
    .strictObject({
      round: z.int().positive(),
      taskId: z.string(),
      base: digest,
      update: slotted,
      kept: slotted.nullable(),
      stats: trainingStats,
      masked: maskedFacts.exactOptional(),
    })
    .nullable(),
});

type MemoryRecord = z.infer<typeof record>;

export interface Pending {
  readonly round: number;
  readonly taskId: string;
  /** Digest of the params that it was trained from. */
  readonly base: string;
  readonly digest: string;
  /** As it is sent: masked, where the run masks. */
  readonly update: Uint8Array;
  readonly stats: z.infer<typeof trainingStats>;
  readonly masked?: z.infer<typeof maskedFacts> | undefined;
}

export interface Trained extends Omit<Pending, 'digest'> {
  readonly kept: Uint8Array | undefined;
}

export interface Memory {
  readonly kept: Uint8Array | undefined;
  readonly pending: Pending | undefined;
  /** What was remembered before is gone or damaged. */
  readonly lost: boolean;
  /** Durable before anything of it is sent. */
  trained(result: Trained): Promise<Pending>;
  /** The receipt of what is pending. */
  received(accepted: boolean): Promise<void>;
}

const EMPTY: MemoryRecord = { version: 1, kept: null, pending: null };
const KEY = 'memory';

/** Before the first join is recorded: from then on an absent record is a lost one. */
export async function startMemory(store: ClientStore): Promise<void> {
  if ((await store.load(KEY)) === undefined) await write(store, EMPTY);
}

/** `expected`: this client has joined before, so that an absent record is a lost one. */
export async function openMemory(
  { store, hasher = portableHasher }: Pick<ClientParts, 'store' | 'hasher'>,
  expected: boolean,
): Promise<Memory> {
  const found = parsed(await store.load(KEY));
  let current = found ?? EMPTY;
  let lost = found === undefined && expected;
  const load = (name: string, value: z.infer<typeof slotted> | null) => loadSlot(store, hasher, name, value);

  let kept = await load('kept', current.kept);
  if (kept === undefined && current.kept !== null) {
    lost = true;
    current = { ...current, kept: null, pending: null };
  }
  let pending = await pendingOf(current, load);
  if (pending === undefined) current = { ...current, pending: null };
  let keptNext = current.pending === null ? undefined : await load('kept', current.pending.kept);
  if (lost || found === undefined) await write(store, current);

  return {
    get kept() {
      return kept;
    },
    get pending() {
      return pending;
    },
    lost,
    async trained({ update, kept: next, ...facts }) {
      const slot = current.kept?.slot === 0 ? 1 : 0;
      const save = async (name: string, value: Uint8Array) => {
        await store.save(`${name}-${slot}`, value);
        return { slot, digest: digestOf(hasher, value) } as const;
      };
      const place = await save('update', update);
      const keptPlace = next === undefined ? null : await save('kept', next);
      const { round, taskId, base, stats, masked } = facts;
      const mask = masked === undefined ? {} : { masked };
      const entry = { round, taskId, base, stats, ...mask, update: place, kept: keptPlace };
      current = await write(store, { ...current, pending: entry });
      keptNext = next;
      pending = { ...facts, update, digest: place.digest };
      return pending;
    },
    async received(accepted) {
      const entry = current.pending;
      if (entry === null) return;
      current = await write(store, { ...current, kept: accepted ? entry.kept : current.kept, pending: null });
      if (accepted) kept = keptNext;
      pending = undefined;
      keptNext = undefined;
      await store.remove(`update-${entry.update.slot}`);
    },
  };
}

async function write(store: ClientStore, value: MemoryRecord): Promise<MemoryRecord> {
  await store.save(KEY, utf8ToBytes(JSON.stringify(value)));
  return value;
}

function parsed(bytes: Uint8Array | undefined): MemoryRecord | undefined {
  if (bytes === undefined) return undefined;
  const result = record.safeParse(jsonOrUndefined(bytes));
  return result.success ? result.data : undefined;
}

type LoadSlot = (name: string, value: z.infer<typeof slotted> | null) => Promise<Uint8Array | undefined>;

async function pendingOf({ pending }: MemoryRecord, load: LoadSlot): Promise<Pending | undefined> {
  if (pending === null) return undefined;
  const update = await load('update', pending.update);
  if (update === undefined) return undefined;
  if (pending.kept !== null && (await load('kept', pending.kept)) === undefined) return undefined;
  const { round, taskId, base, stats, masked } = pending;
  return { round, taskId, base, stats, masked, update, digest: pending.update.digest };
}

/** Undefined when it is not there or damaged. */
async function loadSlot(
  store: ClientStore,
  hasher: NonNullable<ClientParts['hasher']>,
  name: string,
  value: z.infer<typeof slotted> | null,
): Promise<Uint8Array | undefined> {
  if (value === null) return undefined;
  const bytes = await store.load(`${name}-${value.slot}`);
  return bytes !== undefined && digestOf(hasher, bytes) === value.digest ? bytes : undefined;
}
