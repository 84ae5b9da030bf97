/** A Disk whose errors are made for readers: STORAGE_FAILED with what was tried and where. It changes nothing else. */

import { storageError, systemErrorCode } from '../base/io-errors.ts';
import type { Disk, DiskFile } from './disk.ts';

export function withStorageErrors(disk: Disk, where: string): Disk {
  const told = <T>(action: string, path: string, work: Promise<T>): Promise<T> =>
    work.catch((error: unknown) => {
      throw storageError(error, action, path === '' ? where : `${where}/${path}`);
    });
  return {
    makeFolder: (path) => told('make a folder', path, disk.makeFolder(path)),
    list: (path) => told('list a folder', path, disk.list(path)),
    stat: (path) => told('look at a file', path, disk.stat(path)),
    read: (path) => told('read a file', path, disk.read(path)),
    open: async (path, mode) => {
      const file = await told('open a file', path, disk.open(path, mode));
      return fileWithStorageErrors(file, (action, work) => told(action, path, work));
    },
    rename: (from, to) => told('rename a file', to, disk.rename(from, to)),
    remove: (path) => told('remove a file', path, disk.remove(path)),
    truncate: (path, bytes) => told('cut a file', path, disk.truncate(path, bytes)),
    syncFolder: (path) => told('flush a folder', path, disk.syncFolder(path)),
  };
}

function fileWithStorageErrors(
  file: DiskFile,
  told: <T>(action: string, work: Promise<T>) => Promise<T>,
): DiskFile {
  return {
    read: (offset, length, into) => told('read a file', file.read(offset, length, into)),
    write: (bytes, offset) => told('write a file', file.write(bytes, offset)),
    sync: () => told('flush a file', file.sync()),
    close: () => told('close a file', file.close()),
  };
}

/** Whether the file was not there. */
export function isMissing(error: unknown): boolean {
  return systemErrorCode((error as { cause?: unknown }).cause ?? error) === 'ENOENT';
}
