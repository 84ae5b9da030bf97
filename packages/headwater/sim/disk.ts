/**
 * A virtual disk behind the Disk port: operations take virtual time, fail as they are told to, and a crash leaves what the
 * port promises and no more. One disk outlives many processes; each uses it through a session that dies with it.
 */

import type { Clock } from '../src/base/clock.ts';
import type { Rng } from '../src/base/random.ts';
import type { Disk, DiskFile } from '../src/storage/disk.ts';
import {
  createFolder,
  cutPower,
  diskError,
  type FileNode,
  type FolderNode,
  fileAt,
  fileToWrite,
  lookUp,
  makeFolders,
  readBytes,
  removeNode,
  renameNode,
  syncFile,
  syncFolderNode,
  truncateFile,
  writeBytes,
} from './disk-tree.ts';
import { type Life, notice } from './life.ts';
import { clockOf, type VirtualTime } from './virtual-time.ts';

export type DiskOperation =
  | 'makeFolder'
  | 'list'
  | 'stat'
  | 'read'
  | 'open'
  | 'write'
  | 'sync'
  | 'close'
  | 'rename'
  | 'remove'
  | 'truncate'
  | 'syncFolder';

/** What goes wrong; asked before and after each operation. */
export interface DiskFaults {
  /** Error code, or undefined. A write that fails may have written a part. */
  error(operation: DiskOperation, path: string): string | undefined;
  /** Factor on how long things take. */
  slowness(): number;
  /** May end the process. */
  point(when: 'before' | 'after', operation: DiskOperation, path: string, life: Life): void;
}

export const NO_DISK_FAULTS: DiskFaults = { error: () => undefined, slowness: () => 1, point: () => {} };

export interface VirtualDisk {
  session(life: Life): Disk;
  faults: DiskFaults;
  /** What was not synced is lost or torn. Of a process that is merely killed nothing is lost: the system has it. */
  cutPower(): void;
  /** The same bytes without time or faults, for checkers. `durable`: what a power cut would leave in the worst case. */
  look(view: 'entries' | 'durable'): Disk;
}

export function createDisk(time: VirtualTime, random: Rng): VirtualDisk {
  const root = createFolder();
  const clock = clockOf(time);
  const disk: VirtualDisk = {
    faults: NO_DISK_FAULTS,
    session: (life) => operationsOn(root, clock, (name, path, effect) => timed(name, path, effect, life)),
    cutPower: () => cutPower(root, random),
    look: (view) => readOnly(root, view),
  };
  const timed = <T>(name: DiskOperation, path: string, effect: () => T, life: Life): Promise<T> =>
    new Promise((resolve, reject) => {
      if (!life.alive) return;
      disk.faults.point('before', name, path, life);
      if (!life.alive) return;
      const run = carryOut(disk, name, path, effect, life);
      const takes = durationMs(name, random) * disk.faults.slowness();
      // Either at once with a late answer, or at the end: a crash in between finds it done or not.
      const outcome = random.uniform() < 0.5 ? run() : undefined;
      time.after(takes, () => {
        if (!life.alive) return;
        const { error, value } = outcome ?? run();
        if (!life.alive) return;
        notice(time, life, () => (error === undefined ? resolve(value as T) : reject(error)));
      });
    });
  return disk;
}

interface Outcome {
  readonly error?: unknown;
  readonly value?: unknown;
}

function carryOut(
  disk: VirtualDisk,
  name: DiskOperation,
  path: string,
  effect: () => unknown,
  life: Life,
): () => Outcome {
  return () => {
    const code = disk.faults.error(name, path);
    if (code !== undefined) return { error: diskError(code, path) };
    try {
      const value = effect();
      disk.faults.point('after', name, path, life);
      return { value };
    } catch (error) {
      return { error };
    }
  };
}

function durationMs(name: DiskOperation, random: Rng): number {
  const slow = name === 'sync' || name === 'syncFolder';
  return (slow ? 1 : 0.02) * (0.5 + random.uniform());
}

type Perform = <T>(name: DiskOperation, path: string, effect: () => T) => Promise<T>;

function operationsOn(root: FolderNode, clock: Clock, perform: Perform): Disk {
  return {
    makeFolder: (path) => perform('makeFolder', path, () => makeFolders(root, path)),
    list: (path) => perform('list', path, () => listOf(root, path, 'entries')),
    stat: (path) => perform('stat', path, () => statOf(root, path)),
    read: (path) =>
      perform('read', path, () => {
        const { content } = fileAt(root, path);
        return readBytes(content, 0, content.size);
      }),
    open: (path, mode) =>
      perform('open', path, () => {
        const file = mode === 'read' ? fileAt(root, path) : fileToWrite(root, path, clock.nowMs());
        return handleOf(file, path, mode, clock, perform);
      }),
    rename: (from, to) => perform('rename', to, () => renameNode(root, from, to)),
    remove: (path) => perform('remove', path, () => removeNode(root, path)),
    truncate: (path, bytes) =>
      perform('truncate', path, () => truncateFile(fileAt(root, path), bytes, clock.nowMs())),
    syncFolder: (path) =>
      perform('syncFolder', path, () => {
        const node = lookUp(root, path);
        if (node === undefined) throw diskError('ENOENT', path);
        if (node.kind !== 'folder') throw diskError('ENOTDIR', path);
        syncFolderNode(node);
      }),
  };
}

function handleOf(
  file: FileNode,
  path: string,
  mode: 'read' | 'write' | 'append',
  clock: Clock,
  perform: Perform,
): DiskFile {
  let open = true;
  const on = <T>(name: DiskOperation, effect: () => T) =>
    perform(name, path, () => {
      if (!open) throw diskError('EBADF', path);
      return effect();
    });
  return {
    read: (offset, length) => on('read', () => readBytes(file.content, offset, length)),
    write: (bytes, offset) =>
      on('write', () => {
        if (mode === 'read') throw diskError('EBADF', path);
        const at = mode === 'append' ? file.content.size : (offset ?? file.content.size);
        writeBytes(file, bytes, at, clock.nowMs());
      }),
    sync: () => on('sync', () => syncFile(file)),
    close: () =>
      on('close', () => {
        open = false;
      }),
  };
}

function listOf(root: FolderNode, path: string, view: 'entries' | 'durable'): string[] {
  const node = lookUp(root, path, view);
  return node?.kind === 'folder' ? [...node[view].keys()].sort() : [];
}

function statOf(root: FolderNode, path: string) {
  const node = lookUp(root, path);
  if (node?.kind !== 'file') return undefined;
  return { bytes: node.content.size, modifiedMs: node.modifiedMs };
}

function readOnly(root: FolderNode, view: 'entries' | 'durable'): Disk {
  const contentOf = (path: string) => {
    const node = lookUp(root, path, view);
    if (node?.kind !== 'file') throw diskError('ENOENT', path);
    return view === 'entries' ? node.content : node.durable;
  };
  const refuse = async () => {
    throw diskError('EROFS', 'a checker only looks');
  };
  return {
    list: async (path) => listOf(root, path, view),
    stat: async (path) => {
      const node = lookUp(root, path, view);
      if (node?.kind !== 'file') return undefined;
      return { bytes: contentOf(path).size, modifiedMs: node.modifiedMs };
    },
    read: async (path) => readBytes(contentOf(path), 0, contentOf(path).size),
    open: async (path, mode) => {
      if (mode !== 'read') return refuse();
      const content = contentOf(path);
      return {
        read: async (offset, length) => readBytes(content, offset, length),
        write: refuse,
        sync: refuse,
        close: async () => {},
      };
    },
    makeFolder: async () => {},
    rename: refuse,
    remove: refuse,
    truncate: refuse,
    syncFolder: async () => {},
  };
}
