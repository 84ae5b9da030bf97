/**
 * The watch for free-riders where a round is aggregated: reads its updates one after the other, what the round before changed and
 * what it kept, and stores what it keeps. Memory: one update and the last blocks’ tensors of all. What signs mean is below.
 */

import { fromBase64url, toBase64url } from '../base/base64url.ts';
import { type Params, sameShape, tensor } from '../base/tensor.ts';
import { adaptedLayers, layerOf } from '../federation/adapted-layers.ts';
import type { AggregateWork, WatchWork } from '../federation/events.ts';
import type { OwnerSigns, WatchReport } from '../federation/free-riders/report.ts';
import { signsOfRound, type WatchedUpdate, type WatchMemory } from '../federation/free-riders/signs.ts';
import { loraFactor } from '../federation/lora-factors.ts';
import { decodeParams, encodeParams, l2Norm } from '../federation/params.ts';
import type { Blobs } from '../storage/blobs.ts';

/** `load`: an update of the round, decoded. */
export async function watchRound(
  blobs: Pick<Blobs, 'get' | 'put'>,
  { members, params, excluded = [] }: Pick<AggregateWork, 'members' | 'params' | 'excluded'>,
  watch: WatchWork,
  load: (digest: string, owner: string) => Promise<Params>,
): Promise<WatchReport> {
  const read = async (digest: string) => decodeParams(await blobs.get(digest), `blob ${digest}`);
  const moved = watch.before === null ? undefined : changeOf(await read(params), await read(watch.before));
  const updates: WatchedUpdate[] = [];
  let lastNames: readonly string[] | undefined;
  for (const { owner, update } of members) {
    const values = await load(update, owner);
    lastNames ??= lastTensors([...values.keys()], watch.layers);
    updates.push(watched(owner, values, lastNames, moved));
  }
  const alike = updates.filter(({ last }) => last.length === updates[0]?.last.length);
  const before = watch.memory === null ? new Map() : memoryIn(await read(watch.memory));
  const movedLast = moved && gathered(moved, lastNames ?? []);
  // Owners who send other tensors than the first are not compared.
  const seen = signsOfRound(
    alike,
    movedLast?.length === alike[0]?.last.length ? movedLast : undefined,
    before,
  );
  const copies = excluded.filter(({ code }) => code === 'copy');
  const owners = { ...seen.owners, ...Object.fromEntries(copies.map(({ owner }) => [owner, COPIED])) };
  return { memory: await blobs.put(encodeParams(paramsOf(seen.memory))), owners };
}

const COPIED: OwnerSigns = {
  signs: ['copy'],
  echo: null,
  similarity: null,
  deviation: null,
  accumulated: null,
};

function changeOf(now: Params, then: Params): Map<string, Float32Array> {
  const changes = new Map<string, Float32Array>();
  for (const [name, { shape, data }] of now) {
    const old = then.get(name);
    if (old === undefined || !sameShape(old.shape, shape)) continue;
    changes.set(
      name,
      data.map((x, i) => x - old.data[i]!),
    );
  }
  return changes;
}

function watched(
  owner: string,
  update: Params,
  lastNames: readonly string[],
  moved: ReadonlyMap<string, Float32Array> | undefined,
): WatchedUpdate {
  const values = new Map([...update].map(([name, { data }]) => [name, data]));
  const profile = [...update].map(([name, value]) => l2Norm(new Map([[name, value]])));
  return {
    owner,
    norm: l2Norm(update),
    last: gathered(values, lastNames) ?? new Float32Array(0),
    profile,
    echo: moved === undefined ? null : cosine(values, moved),
  };
}

/** Null where a tensor of the update is none of the params, or one of the two is zero. */
function cosine(
  update: ReadonlyMap<string, Float32Array>,
  moved: ReadonlyMap<string, Float32Array>,
): number | null {
  let [inner, a, b] = [0, 0, 0];
  for (const [name, values] of update) {
    const other = moved.get(name);
    if (other?.length !== values.length) return null;
    for (let i = 0; i < values.length; i++) {
      inner += values[i]! * other[i]!;
      a += values[i]! * values[i]!;
      b += other[i]! * other[i]!;
    }
  }
  return a > 0 && b > 0 ? inner / Math.sqrt(a * b) : null;
}

/** Elements compared at most: evenly spaced ones of more. */
const MOST_ELEMENTS = 2 ** 16;

function gathered(
  values: ReadonlyMap<string, Float32Array>,
  names: readonly string[],
): Float32Array | undefined {
  const parts = names.map((name) => values.get(name));
  if (parts.some((part) => part === undefined)) return undefined;
  const size = parts.reduce((sum, part) => sum + part!.length, 0);
  const all = new Float32Array(size);
  let at = 0;
  for (const part of parts) {
    all.set(part!, at);
    at += part!.length;
  }
  const step = Math.ceil(size / MOST_ELEMENTS);
  return step <= 1 ? all : all.filter((_, i) => i % step === 0);
}

/** Of the last blocks: the B of LoRA where there are any, else all; of updates without blocks all tensors. */
function lastTensors(names: readonly string[], layers: number): string[] {
  const last = new Set(adaptedLayers(names.map((name) => ({ name }))).slice(-layers));
  const inLast = names.filter((name) => last.has(layerOf({ name }) ?? -1));
  const candidates = inLast.length === 0 ? [...names] : inLast;
  const factors = candidates.filter((name) => loraFactor(name) === 'B');
  return factors.length === 0 ? candidates : factors;
}

/** Owners may be called anything; tensors may not. */
const text = { encode: new TextEncoder(), decode: new TextDecoder() };

function paramsOf(memory: WatchMemory): Params {
  const entries = [...memory].sort(([a], [b]) => (a < b ? -1 : 1));
  return new Map(
    entries.map(([owner, { rounds, counts }]) => {
      // The number of rounds lies behind the counts.
      const data = new Float32Array(counts.length + 1);
      data.set(counts);
      data[counts.length] = rounds;
      return [`o.${toBase64url(text.encode.encode(owner))}`, tensor('float32', [data.length], data)];
    }),
  );
}

function memoryIn(params: Params): WatchMemory {
  return new Map(
    [...params].map(([name, { data }]) => {
      const owner = text.decode.decode(fromBase64url(name.slice(2)) ?? new Uint8Array());
      return [owner, { rounds: data.at(-1)!, counts: data.slice(0, -1) }];
    }),
  );
}
