/**
 * Which names a server answers to: the model's own and those of its adapters. Before an adapter is used, its files are
 * looked at: what changed on disk is loaded again, what cannot be loaded is told once and leaves the old one in place.
 */

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HeadwaterError, messageOf } from '../base/errors.ts';
import { ADAPTER_CONFIG, ADAPTER_WEIGHTS } from '../tuning/peft-adapter.ts';
import type { TextHost } from './text-host.ts';

export interface ServedName {
  readonly name: string;
  /** undefined: the model alone. */
  readonly adapter: string | undefined;
}

export interface Adapters {
  names(): ServedName[];
  /** undefined: there is no such name. Loads an adapter again when its folder changed. */
  find(name: string): Promise<ServedName | undefined>;
  /** Throws OPTION_INVALID for the model's own name, ADAPTER_INVALID and the like; then nothing changed. */
  load(name: string, folder: string): Promise<void>;
  /** false: there was none. */
  unload(name: string): Promise<boolean>;
}

interface Loaded {
  readonly folder: string;
  /** Of the files as they were when they were tried last. */
  fingerprint: string;
  reloading: Promise<void> | undefined;
}

export function createAdapters(
  host: Pick<TextHost, 'load' | 'unload'>,
  modelName: string,
  warn: (text: string) => void,
): Adapters {
  const adapters = new Map<string, Loaded>();
  async function refresh(name: string, loaded: Loaded): Promise<void> {
    const fingerprint = await fingerprintOf(loaded.folder);
    if (fingerprint === loaded.fingerprint) return;
    loaded.fingerprint = fingerprint;
    await host.load(name, loaded.folder).then(
      () => warn(`adapter ${name} was loaded again: its folder changed`),
      (cause) => warn(`adapter ${name} changed and cannot be loaded, the old one stays: ${messageOf(cause)}`),
    );
  }
  return {
    names: () => [
      { name: modelName, adapter: undefined },
      ...[...adapters.keys()].map((name) => ({ name, adapter: name })),
    ],
    async find(name) {
      if (name === modelName) return { name, adapter: undefined };
      const loaded = adapters.get(name);
      if (loaded === undefined) return undefined;
      loaded.reloading ??= refresh(name, loaded).finally(() => {
        loaded.reloading = undefined;
      });
      await loaded.reloading;
      return { name, adapter: name };
    },
    async load(name, folder) {
      if (name === modelName)
        throw new HeadwaterError('OPTION_INVALID', `"${name}" is the model itself`, {
          hint: 'Give the adapter another name.',
        });
      const fingerprint = await fingerprintOf(folder);
      await host.load(name, folder);
      adapters.set(name, { folder, fingerprint, reloading: undefined });
    },
    async unload(name) {
      const had = adapters.delete(name);
      if (had) await host.unload(name);
      return had;
    },
  };
}

/** Differs when a file was written again; the same while files are absent. */
async function fingerprintOf(folder: string): Promise<string> {
  const files = [ADAPTER_CONFIG, ADAPTER_WEIGHTS].map(async (file) => {
    const facts = await stat(join(folder, file)).catch(() => undefined);
    return facts === undefined ? 'absent' : `${facts.ino} ${facts.size} ${facts.mtimeMs}`;
  });
  return (await Promise.all(files)).join(', ');
}
