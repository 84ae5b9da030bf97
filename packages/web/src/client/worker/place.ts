/** A seat with everything that its run is reached and carried out with: store, key, coordinator, signed recipe, data. */

import { systemClock, systemTimers } from '@headwater/base/clock.ts';
import { HeadwaterError } from '@headwater/base/errors.ts';
import { blobFetcher } from '@headwater/client/download.ts';
import { portableHasher } from '@headwater/client/hashing.ts';
import { checkedManifest } from '@headwater/client/manifest.ts';
import { recipeOf } from '@headwater/client/manifest-recipe.ts';
import { type ManifestSource, manifestSource } from '@headwater/client/manifest-source.ts';
import type { ClientParts, FetchBlob } from '@headwater/client/ports.ts';
import { webcryptoEntropy, webcryptoVerify } from '@headwater/client/webcrypto.ts';
import { readChosen } from '@headwater/data/schema-choice.ts';
import type { Manifest } from '@headwater/federation/wire/messages.ts';
import type { HeldOutParts } from '@headwater/jobs/held-out.ts';
import { ownerColumns, ownerParts } from '@headwater/jobs/owner-parts.ts';
import { builtinRegistries } from '@headwater/jobs/records.ts';
import type { Recipe } from '@headwater/recipe/schema.ts';
import type { FileUse, Seat, TabEvent } from '../messages.ts';
import { clientStore, type Database } from './database.ts';
import { openFile } from './files.ts';
import { keptSigner } from './signer.ts';
import { fetchTransport, gzipChunk } from './transport.ts';

export type Basics = Omit<Required<ClientParts>, 'openTrainer' | 'policy' | 'onResult'>;

/** What a client in a tab is made of, whatever it joins. */
export function tabBasics(database: Database, { id, url }: Seat, onEvent: (event: TabEvent) => void): Basics {
  return {
    transport: fetchTransport(url),
    store: clientStore(database, id),
    clock: systemClock,
    timers: systemTimers,
    entropy: webcryptoEntropy,
    signer: keptSigner(database, id),
    verify: webcryptoVerify,
    hasher: portableHasher,
    compress: gzipChunk,
    onEvent,
  };
}

export interface Place {
  readonly source: ManifestSource;
  readonly manifest: Manifest;
  readonly fetchBlob: FetchBlob;
}

/** Uses nothing of the invitation up. Throws JOIN_REFUSED, OPTION_INVALID, INTERRUPTED. */
export async function findPlace(basics: Basics, seat: Seat, signal: AbortSignal): Promise<Place> {
  const source = await manifestSource(basics, seat.token ?? undefined, signal);
  const manifest = await checkedManifest(source.signed, source.operator, basics.verify);
  return { source, manifest, fetchBlob: blobFetcher(basics, source.askFile, signal) };
}

export const registries = builtinRegistries;

/** Throws JOIN_REFUSED with every mistake. */
export function tabRecipe(manifest: Manifest): Recipe {
  return recipeOf(manifest, { registries, plugins: [] });
}

/** Throws DATA_*, OPTION_INVALID. */
export async function tabParts(recipe: Recipe, owner: string, seat: Seat): Promise<HeldOutParts> {
  const { data } = recipe;
  const columns = ownerColumns(data, new Map(Object.entries(seat.mapping)));
  const load = async (use: FileUse) => {
    const files = seat.files.filter((file) => file.use === use);
    const opened = await Promise.all(files.map((file) => openFile(seat.id, file)));
    return readChosen(opened, data.schema, columns, registries.schemas);
  };
  const given = (use: FileUse) => (seat.files.some((file) => file.use === use) ? use : undefined);
  if (given('train') === undefined)
    throw new HeadwaterError('DATA_NOT_FOUND', 'no file to learn from is chosen', {
      hint: 'Choose at least one.',
    });
  const sources = { train: 'train', validation: given('validation'), test: given('test') } as const;
  return ownerParts<FileUse>(recipe, owner, sources, load).catch((error) => {
    throw withMappingHint(error);
  });
}

function withMappingHint(error: unknown): unknown {
  if (!(error instanceof HeadwaterError) || !error.message.includes('there is no column')) return error;
  const { code, message, where } = error;
  return new HeadwaterError(code, message, {
    hint: 'Say above which of your columns it is, or a template that joins several.',
    ...(where === undefined ? {} : { where }),
    cause: error,
  });
}

/** Closed while another tab works in it. Throws RUN_LOCKED. */
export async function inSeat<T>(seat: string, act: () => Promise<T>): Promise<T> {
  const waiting = new AbortController();
  // A page that is reloaded lets go a moment after the new one has begun.
  const timer = setTimeout(() => waiting.abort(), LOCK_PATIENCE_MS);
  try {
    return await navigator.locks.request(`headwater-seat/${seat}`, { signal: waiting.signal }, () => {
      clearTimeout(timer);
      return act();
    });
  } catch (cause) {
    if (!waiting.signal.aborted) throw cause;
    throw new HeadwaterError('RUN_LOCKED', 'another tab takes part with this invitation', {
      cause,
      hint: 'Go on in that tab, or close it and try again here.',
    });
  } finally {
    clearTimeout(timer);
  }
}

const LOCK_PATIENCE_MS = 4000;
