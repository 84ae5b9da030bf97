/**
 * A Disk in memory that keeps a POSIX file system's promises and no more: what was not synced is lost, kept or torn when
 * the power goes. It stops its "process" before or after any of its operations, or lets one operation fail.
 */

import { rng } from '../../src/base/random.ts';
import type { Disk, DiskFile } from '../../src/storage/disk.ts';

export class Crash extends Error {}

interface Inode {
  bytes: Uint8Array;
  durable: Uint8Array;
}

/** `killed`: only the process ends; the system still has what was not synced, and may lose it later. */
export type Fate = 'lost' | 'kept' | 'torn' | 'killed';

export interface Fault {
  /** 1 is the first operation. */
  readonly at: number;
  readonly kind: 'crash before' | 'crash after' | 'crash inside' | 'fails';
}

const SECTOR_BYTES = 64;

export class CrashingDisk {
  readonly #names = new Map<string, Inode>();
  readonly #durableNames = new Map<string, Inode>();
  readonly #folders = new Set(['']);
  readonly #durableFolders = new Set(['']);
  #operations = 0;
  #fault: Fault | undefined;
  #dead = false;

  /** Operations since the last `plan`. */
  get operations(): number {
    return this.#operations;
  }

  plan(fault?: Fault): void {
    this.#operations = 0;
    this.#fault = fault;
  }

  /** Ends the process; what the next one finds. */
  end(fate: Fate, seed: number): void {
    this.#dead = false;
    if (fate !== 'killed') this.#cutPower(fate, seed);
  }

  #cutPower(fate: Fate, seed: number): void {
    const random = rng('power cut', fate, seed);
    const keeps = () => fate === 'kept' || (fate === 'torn' && random.uniform() < 0.5);
    for (const folder of [...this.#folders].sort()) {
      const stays = this.#durableFolders.has(folder) || keeps();
      if (!stays || !this.#folders.has(folderOf(folder))) this.#folders.delete(folder);
    }
    const paths = new Set([...this.#names.keys(), ...this.#durableNames.keys()]);
    for (const path of [...paths].sort()) {
      const inode = keeps() ? this.#names.get(path) : this.#durableNames.get(path);
      if (inode === undefined || !this.#folders.has(folderOf(path))) this.#names.delete(path);
      else this.#names.set(path, inode);
    }
    for (const inode of new Set(this.#names.values())) inode.bytes = after(inode, fate, random.uniform);
    this.#durableFolders.clear();
    for (const folder of this.#folders) this.#durableFolders.add(folder);
    this.#durableNames.clear();
    for (const [path, inode] of this.#names) {
      this.#durableNames.set(path, inode);
      inode.durable = inode.bytes;
    }
  }

  /** Counts, fails or stops; `half` is what an operation may have done when it is stopped inside. */
  async #operation<T>(body: () => T, half: () => void = () => undefined): Promise<T> {
    await null;
    if (this.#dead) throw new Crash();
    this.#operations += 1;
    const fault = this.#fault?.at === this.#operations ? this.#fault.kind : undefined;
    if (fault === 'crash inside' || fault === 'fails') half();
    if (fault === 'fails') throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    if (fault === 'crash before' || fault === 'crash inside') return this.#die();
    const result = body();
    return fault === 'crash after' ? this.#die() : result;
  }

  #die(): never {
    this.#dead = true;
    throw new Crash();
  }

  disk(): Disk {
    const missing = (path: string) => Object.assign(new Error(`no such file ${path}`), { code: 'ENOENT' });
    const inodeOf = (path: string) => {
      const inode = this.#names.get(path);
      if (inode === undefined) throw missing(path);
      return inode;
    };
    const made = (path: string) => {
      if (!this.#folders.has(folderOf(path))) throw missing(path);
      const inode = this.#names.get(path) ?? { bytes: new Uint8Array(), durable: new Uint8Array() };
      this.#names.set(path, inode);
      return inode;
    };
    return {
      makeFolder: (path) =>
        this.#operation(() => {
          for (let at = path; at !== ''; at = folderOf(at)) this.#folders.add(at);
        }),
      list: (path) =>
        this.#operation(() =>
          [...this.#names.keys(), ...this.#folders]
            .filter((name) => name !== '' && folderOf(name) === path)
            .map((name) => name.slice(path === '' ? 0 : path.length + 1))
            .sort(),
        ),
      stat: (path) =>
        this.#operation(() => {
          const inode = this.#names.get(path);
          return inode && { bytes: inode.bytes.byteLength, modifiedMs: 0 };
        }),
      read: (path) => this.#operation(() => inodeOf(path).bytes.slice()),
      open: async (path, mode) =>
        this.#file(
          await this.#operation(() => (mode === 'read' ? inodeOf(path) : made(path))),
          mode === 'append',
        ),
      rename: (from, to) =>
        this.#operation(() => {
          const inode = inodeOf(from);
          if (!this.#folders.has(folderOf(to))) throw missing(to);
          this.#names.set(to, inode);
          this.#names.delete(from);
        }),
      remove: (path) =>
        this.#operation(() => {
          this.#names.delete(path);
        }),
      truncate: (path, bytes) =>
        this.#operation(() => {
          const inode = inodeOf(path);
          inode.bytes = resized(inode.bytes, bytes);
        }),
      syncFolder: (path) => this.#operation(() => this.#syncFolder(path)),
    };
  }

  #syncFolder(path: string): void {
    for (const name of new Set([...this.#names.keys(), ...this.#durableNames.keys()])) {
      if (folderOf(name) !== path) continue;
      const inode = this.#names.get(name);
      if (inode === undefined) this.#durableNames.delete(name);
      else this.#durableNames.set(name, inode);
    }
    for (const folder of this.#folders) if (folderOf(folder) === path) this.#durableFolders.add(folder);
  }

  #file(inode: Inode, append: boolean): DiskFile {
    const write = (bytes: Uint8Array, offset: number) => {
      const grown = resized(inode.bytes, Math.max(inode.bytes.byteLength, offset + bytes.byteLength));
      grown.set(bytes, offset);
      inode.bytes = grown;
    };
    return {
      read: (offset, length) => this.#operation(() => inode.bytes.slice(offset, offset + length)),
      write: (bytes, offset = 0) => {
        const copy = bytes.slice();
        const at = () => (append ? inode.bytes.byteLength : offset);
        return this.#operation(
          () => write(copy, at()),
          () => write(copy.subarray(0, Math.ceil(copy.byteLength / 2)), at()),
        );
      },
      sync: () =>
        this.#operation(() => {
          inode.durable = inode.bytes.slice();
        }),
      close: async () => {},
    };
  }
}

function folderOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '';
}

function resized(bytes: Uint8Array, length: number): Uint8Array {
  const result = new Uint8Array(length);
  result.set(bytes.subarray(0, length));
  return result;
}

/** Torn: some length between old and new, each sector as it was or as it was written. */
function after({ bytes, durable }: Inode, fate: Fate, uniform: () => number): Uint8Array {
  if (fate === 'kept') return bytes.slice();
  if (fate === 'lost') return durable.slice();
  const [short, long] = [durable, bytes].map((side) => side.byteLength).sort((a, b) => a - b) as [
    number,
    number,
  ];
  const length = uniform() < 0.5 ? long : short + Math.floor(uniform() * (long - short + 1));
  const result = resized(durable, length);
  for (let at = 0; at < length; at += SECTOR_BYTES)
    if (uniform() < 0.5) {
      const sector = resized(bytes, Math.max(bytes.byteLength, length)).subarray(
        at,
        Math.min(length, at + SECTOR_BYTES),
      );
      result.set(sector, at);
    }
  return result;
}
