/**
 * The contents of a virtual disk: what programs see, what a power cut would leave, and what lies in between. Times, faults
 * and processes are not its business.
 */

import type { Rng } from '../src/base/random.ts';

export interface FileNode {
  readonly kind: 'file';
  content: Bytes;
  /** Survives a power cut. */
  durable: Bytes;
  /** Changes of `content` since it was last synced. */
  pending: Change[];
  modifiedMs: number;
}

export interface FolderNode {
  readonly kind: 'folder';
  entries: Map<string, DiskNode>;
  durable: Map<string, DiskNode>;
  pending: FolderChange[];
}

export type DiskNode = FileNode | FolderNode;

type Change = { readonly offset: number; readonly bytes: Uint8Array } | { readonly size: number };

/** Name → node (undefined: gone), all at once. */
interface FolderChange {
  readonly names: ReadonlyMap<string, DiskNode | undefined>;
  /** What must be durable before: the arrival of a file in another folder before it leaves this one. */
  readonly first?: { readonly folder: FolderNode; readonly change: FolderChange };
}

/** Bytes that grow; `size` of them count. */
export interface Bytes {
  buffer: Uint8Array;
  size: number;
}

export function createFolder(): FolderNode {
  return { kind: 'folder', entries: new Map(), durable: new Map(), pending: [] };
}

function createFile(nowMs: number): FileNode {
  const empty = (): Bytes => ({ buffer: new Uint8Array(64), size: 0 });
  return { kind: 'file', content: empty(), durable: empty(), pending: [], modifiedMs: nowMs };
}

export function diskError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: virtual disk, '${path}'`), { code });
}

const namesOf = (path: string) => path.split('/').filter((name) => name !== '' && name !== '.');

/** Undefined when there is nothing. `view`: what programs see, or what a power cut would leave at least. */
export function lookUp(
  root: FolderNode,
  path: string,
  view: 'entries' | 'durable' = 'entries',
): DiskNode | undefined {
  let node: DiskNode | undefined = root;
  for (const name of namesOf(path)) {
    if (node?.kind !== 'folder') return undefined;
    node = node[view].get(name);
  }
  return node;
}

export function fileAt(root: FolderNode, path: string): FileNode {
  const node = lookUp(root, path);
  if (node === undefined) throw diskError('ENOENT', path);
  if (node.kind !== 'file') throw diskError('EISDIR', path);
  return node;
}

function place(root: FolderNode, path: string): { readonly folder: FolderNode; readonly name: string } {
  const names = namesOf(path);
  const name = names.pop();
  const folder = lookUp(root, names.join('/'));
  if (name === undefined || folder === undefined) throw diskError('ENOENT', path);
  if (folder.kind !== 'folder') throw diskError('ENOTDIR', path);
  return { folder, name };
}

function change(
  folder: FolderNode,
  names: ReadonlyMap<string, DiskNode | undefined>,
  first?: FolderChange['first'],
): FolderChange {
  const made: FolderChange = first === undefined ? { names } : { names, first };
  folder.pending.push(made);
  apply(folder.entries, made);
  return made;
}

function apply(entries: Map<string, DiskNode>, { names }: FolderChange): void {
  for (const [name, node] of names)
    if (node === undefined) entries.delete(name);
    else entries.set(name, node);
}

export function makeFolders(root: FolderNode, path: string): void {
  let folder = root;
  for (const name of namesOf(path)) {
    let next = folder.entries.get(name);
    if (next === undefined) {
      next = createFolder();
      change(folder, new Map([[name, next]]));
    }
    if (next.kind !== 'folder') throw diskError('EEXIST', path);
    folder = next;
  }
}

export function fileToWrite(root: FolderNode, path: string, nowMs: number): FileNode {
  const { folder, name } = place(root, path);
  const known = folder.entries.get(name);
  if (known?.kind === 'folder') throw diskError('EISDIR', path);
  if (known !== undefined) return known;
  const file = createFile(nowMs);
  change(folder, new Map([[name, file]]));
  return file;
}

export function renameNode(root: FolderNode, from: string, to: string): void {
  const source = place(root, from);
  const target = place(root, to);
  const node = source.folder.entries.get(source.name);
  if (node === undefined) throw diskError('ENOENT', from);
  if (source.folder === target.folder) {
    if (source.name === target.name) return;
    const names = new Map<string, DiskNode | undefined>([[source.name, undefined]]);
    change(source.folder, names.set(target.name, node));
    return;
  }
  const arrival = change(target.folder, new Map([[target.name, node]]));
  const first = { folder: target.folder, change: arrival };
  change(source.folder, new Map([[source.name, undefined]]), first);
}

export function removeNode(root: FolderNode, path: string): void {
  if (lookUp(root, path) === undefined) return;
  const { folder, name } = place(root, path);
  change(folder, new Map([[name, undefined]]));
}

export function writeBytes(file: FileNode, bytes: Uint8Array, offset: number, nowMs: number): void {
  const made = { offset, bytes: bytes.slice() };
  file.pending.push(made);
  applyChange(file.content, made);
  file.modifiedMs = nowMs;
}

export function truncateFile(file: FileNode, size: number, nowMs: number): void {
  file.pending.push({ size });
  applyChange(file.content, { size });
  file.modifiedMs = nowMs;
}

export function readBytes({ buffer, size }: Bytes, offset: number, length: number): Uint8Array {
  return buffer.slice(Math.min(offset, size), Math.min(offset + length, size));
}

function applyChange(target: Bytes, made: Change): void {
  const end = 'size' in made ? made.size : made.offset + made.bytes.byteLength;
  reserve(target, end);
  if ('size' in made) {
    if (made.size < target.size) target.buffer.fill(0, made.size, target.size);
    target.size = made.size;
    return;
  }
  target.buffer.set(made.bytes, made.offset);
  target.size = Math.max(target.size, end);
}

function reserve(target: Bytes, size: number): void {
  if (target.buffer.byteLength >= size) return;
  const grown = new Uint8Array(Math.max(size, 2 * target.buffer.byteLength));
  grown.set(target.buffer.subarray(0, target.size));
  target.buffer = grown;
}

export function syncFile(file: FileNode): void {
  for (const made of file.pending) applyChange(file.durable, made);
  file.pending = [];
}

export function syncFolderNode(folder: FolderNode): void {
  for (const made of folder.pending) settle(folder.durable, made);
  folder.pending = [];
}

function settle(durable: Map<string, DiskNode>, made: FolderChange): void {
  if (made.first?.folder.pending.includes(made.first.change) === true) syncFolderNode(made.first.folder);
  apply(durable, made);
}

/** A power cut: of what was not synced, any part may be lost or torn; of a folder's changes a beginning survives. */
export function cutPower(root: FolderNode, random: Rng): void {
  settleFolders(root, random, new Set());
  settleFiles(root, random, new Set());
}

function settleFolders(folder: FolderNode, random: Rng, seen: Set<FolderNode>): void {
  if (seen.has(folder)) return;
  seen.add(folder);
  const survive = folder.pending.length === 0 ? 0 : random.below(folder.pending.length + 1);
  for (const made of folder.pending.slice(0, survive)) settle(folder.durable, made);
  folder.pending = [];
  folder.entries = new Map(folder.durable);
  for (const node of folder.entries.values()) if (node.kind === 'folder') settleFolders(node, random, seen);
}

function settleFiles(folder: FolderNode, random: Rng, seen: Set<DiskNode>): void {
  for (const node of folder.entries.values()) {
    if (seen.has(node)) continue;
    seen.add(node);
    if (node.kind === 'folder') settleFiles(node, random, seen);
    else settleContent(node, random);
  }
}

function settleContent(file: FileNode, random: Rng): void {
  for (const made of file.pending) {
    const fate = random.uniform();
    if (fate < 0.4) continue;
    if (fate < 0.8 || 'size' in made) applyChange(file.durable, made);
    else tear(file.durable, made, random);
  }
  file.pending = [];
  file.content = { buffer: file.durable.buffer.slice(), size: file.durable.size };
}

/** A beginning of the bytes arrived; the file may be longer than that already, with zeros. */
function tear(
  target: Bytes,
  made: { readonly offset: number; readonly bytes: Uint8Array },
  random: Rng,
): void {
  const arrived = made.bytes.subarray(0, random.below(made.bytes.byteLength + 1));
  const end = made.offset + made.bytes.byteLength;
  if (random.uniform() < 0.5 && end > target.size) applyChange(target, { size: end });
  applyChange(target, { offset: made.offset, bytes: arrived });
}
