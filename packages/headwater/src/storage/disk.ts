/**
 * The Disk port: the few file operations on which durable storage stands, with the guarantees of a POSIX file system and
 * no more: what was not synced may be lost or torn by a crash, a rename is durable after its folder was synced. The fault
 * simulation puts a virtual disk here. Paths are relative, with `/`; errors are those of Node (`code: 'ENOENT'` …).
 */

export interface Disk {
  /** Makes the folder and those above it. */
  makeFolder(path: string): Promise<void>;
  /** Names in a folder, sorted; [] when it does not exist. */
  list(path: string): Promise<string[]>;
  /** Undefined when there is no such file. */
  stat(path: string): Promise<{ readonly bytes: number; readonly modifiedMs: number } | undefined>;
  read(path: string): Promise<Uint8Array>;
  /** Opens for reading, for writing (made when needed, not cut), or for appending. */
  open(path: string, mode: 'read' | 'write' | 'append'): Promise<DiskFile>;
  rename(from: string, to: string): Promise<void>;
  /** Unknown paths are fine. */
  remove(path: string): Promise<void>;
  truncate(path: string, bytes: number): Promise<void>;
  /** Makes renames, creations and removals in the folder durable. */
  syncFolder(path: string): Promise<void>;
}

export interface DiskFile {
  /** Up to `length` bytes from `offset`; fewer at the end. `into`: memory that may be used for them. */
  read(offset: number, length: number, into?: Uint8Array): Promise<Uint8Array>;
  /** At `offset`; files opened for appending write at their end. */
  write(bytes: Uint8Array, offset?: number): Promise<void>;
  /** What was written survives a power cut. */
  sync(): Promise<void>;
  close(): Promise<void>;
}
