/**
 * The secret table of noise keys, seen between coordinator and store: a key is made once, lives as long as a release needs it and no
 * longer, draws the cohorts that the journal names, and stands in no event, log line or answer.
 */

import { createHmac } from 'node:crypto';
import { fromBase64url } from '../../src/base/base64url.ts';
import type { NoiseKeyRecord, RunRecord } from '../../src/coordinator/records.ts';
import type { RunEvent } from '../../src/federation/events.ts';
import type { RunPlan } from '../../src/federation/plan.ts';
import type { RunState } from '../../src/federation/state.ts';
import type { Json } from '../../src/storage/journal.ts';
import type { Records, Store } from '../../src/storage/store.ts';
import { type IntegerNoise, leavesOf, releaseNoise } from '../exact-noise.ts';
import type { Report } from './violation.ts';

export interface NoiseWatch {
  /** The same store, watched. */
  watched(store: Store): Store;
  /** `before`: the state without the event. */
  durable(event: RunEvent, before: RunState | undefined): void;
  /** An aggregation came to an end; its params need not become durable. */
  made(round: number, params: string): void;
  /** Somebody may read this: a log line, an answer. */
  told(where: string, text: string | Uint8Array): void;
  /** Of a closed round, again from the table; undefined where the table never had a key that it needs. */
  noiseOf(round: number, plan: RunPlan): IntegerNoise | undefined;
}

const DRAW = 'draw-';
/** Of a draw and the round after it. */
const roundOf = (name: string) => Number(name.startsWith(DRAW) ? name.slice(DRAW.length) : name);

export function watchNoise(run: string, report: Report): NoiseWatch {
  const keys = new Map<string, Uint8Array>();
  /** As they could be written. */
  const secrets = new Map<string, string>();
  const live = new Set<string>();
  const destroyed = new Set<string>();
  const releases = new Map<number, string>();
  const leaves = new Map<number, number | undefined>();
  const waiting = new Set<string>();

  function saw(name: string, { key }: NoiseKeyRecord): void {
    if (key === null) {
      live.delete(name);
      destroyed.add(name);
      return;
    }
    const known = keys.get(name);
    const bytes = fromBase64url(key)!;
    if (known !== undefined && Buffer.compare(known, bytes) !== 0)
      report('keys', `the key of ${name} became another`);
    if (destroyed.has(name)) report('keys', `the key of ${name} was destroyed, and is there again`);
    if (known === undefined) remember(name, bytes);
  }

  function remember(name: string, key: Uint8Array): void {
    keys.set(name, key);
    live.add(name);
    for (const encoding of ['base64url', 'base64', 'hex'] as const)
      secrets.set(Buffer.from(key).toString(encoding), name);
    secrets.set(key.join(','), name);
    checkEarlier(name);
  }

  /** Before a key is made, all that were needed no longer are destroyed. */
  function checkEarlier(name: string): void {
    const round = roundOf(name);
    const leaf = leaves.get(round - 1);
    const needed = leaf === undefined ? [] : leavesOf(leaf).map((end) => round - 1 - leaf + end);
    for (const other of live) {
      if (other === name || roundOf(other) > round) continue;
      const isNode = !other.startsWith(DRAW) && needed.includes(roundOf(other));
      if (!isNode) report('keys', `the key of ${other} is still there when that of ${name} is made`);
    }
  }

  function checkDraw(event: Extract<RunEvent, { type: 'cohort-drawn' }>, before: RunState): void {
    const { round, owners } = event;
    const key = keys.get(`${DRAW}${round}`);
    const { rate } = before.plan.privacy!.poisson!;
    const isDrawn = (owner: string) =>
      key !== undefined && createHmac('sha256', key).update(owner).digest().readUInt32BE() / 2 ** 32 < rate;
    for (const owner of owners)
      if (!isDrawn(owner)) report('draws', `"${owner}" is in round ${round}, and no coin says so`);
    const active = (owner: string) => before.roster[owner]!.standing === 'active';
    for (const { owner } of before.plan.owners)
      if (waiting.has(owner) && active(owner) && isDrawn(owner) && !owners.includes(owner))
        report('draws', `"${owner}" was drawn for round ${round}, and is left out`);
  }

  /** Owners that a draw has to look at: those who are there from the opening of the round on. */
  function follow(event: RunEvent, before: RunState): void {
    if (event.type === 'owner-left') waiting.delete(event.owner);
    if (event.type !== 'aggregated' && event.type !== 'resumed') return;
    waiting.clear();
    for (const { owner, standing } of Object.values(before.roster))
      if (standing === 'active') waiting.add(owner);
  }

  function told(where: string, said: string | Uint8Array): void {
    if (secrets.size === 0) return;
    const text = typeof said === 'string' ? said : Buffer.from(said).toString('latin1');
    for (const [secret, name] of secrets)
      if (text.includes(secret)) report('keys', `the key of ${name} stands in ${where}`);
  }

  const seenIn = (collection: string, key: string, value: Json) => {
    if (collection === 'noise-keys' && key.startsWith(`${run}/`))
      saw(key.slice(run.length + 1), value as unknown as NoiseKeyRecord);
    if (collection === 'runs' && key === run && (value as unknown as RunRecord).over !== null)
      for (const name of live) report('keys', `the run is over, and the key of ${name} is still there`);
  };

  return {
    watched: (store) => ({ ...store, records: watchedRecords(store.records, seenIn) }),
    durable(event, before) {
      if (event.type === 'created') for (const { owner } of event.plan.owners) waiting.add(owner);
      const plan = before?.plan;
      if (plan?.privacy === undefined) return;
      told('the journal', JSON.stringify(event));
      if (event.type === 'cohort-drawn') checkDraw(event, before!);
      if (event.type === 'aggregated') leaves.set(event.round, event.report.release?.tree?.leaf);
      if (event.type === 'paused' && event.reason.includes('was destroyed'))
        report('keys', `a release that was made is asked for again: ${event.reason}`);
      follow(event, before!);
    },
    made(round, params) {
      const other = releases.get(round) ?? params;
      if (other !== params) report('keys', `round ${round} is released in two forms`);
      releases.set(round, params);
    },
    told,
    noiseOf(round, { privacy, fixedPoint: { tensors } }) {
      const { clipNorm, noiseMultiplier } = privacy!;
      const squares = tensors.reduce(
        (sum, { shape, fractionBits }) => sum + shape.reduce((a, b) => a * b, 1) * 4 ** -fractionBits,
        0,
      );
      const sigma = noiseMultiplier * (clipNorm + Math.sqrt(squares) / 2);
      return releaseNoise((of) => keys.get(String(of)), { round, leaf: leaves.get(round) }, tensors, sigma);
    },
  };
}

type Seen = (collection: string, key: string, value: Json) => void;

/** What was written, and what is read: a write whose answer was an error may have happened. */
function watchedRecords(records: Records, seen: Seen): Records {
  return {
    ...records,
    async get(collection, key) {
      const found = await records.get(collection, key);
      if (found !== undefined) seen(collection, key, found.value);
      return found;
    },
    async put(collection, key, value, expectedVersion) {
      const version = await records.put(collection, key, value, expectedVersion);
      if (version !== undefined) seen(collection, key, value);
      return version;
    },
    async list(collection, prefix) {
      const found = await records.list(collection, prefix);
      for (const { key, value } of found) seen(collection, key, value);
      return found;
    },
  };
}
