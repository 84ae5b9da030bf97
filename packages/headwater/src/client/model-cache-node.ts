/**
 * The base model from the coordinator: files by digest into a folder that gets its name when all are there and checked.
 * Names that a coordinator sends become file names only when they are those of a model's files.
 */

import { randomUUID } from 'node:crypto';
import { rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { HeadwaterError } from '../base/errors.ts';
import { storageError } from '../base/io-errors.ts';
import { makeFolder } from '../base/make-folder-node.ts';
import type { Manifest } from '../federation/wire/messages.ts';
import { isModelFile } from '../federation/wire/model-file.ts';
import { acquireRunLock, type RunLock } from '../storage/run-lock.ts';
import { fileDigest, openFileSink } from './file-sink-node.ts';
import type { FetchBlob } from './ports.ts';

type ModelFile = Manifest['model']['files'][number];

export function isWeights({ path }: ModelFile): boolean {
  return path.endsWith('.safetensors');
}

export interface ModelCache {
  readonly cacheFolder: string;
  readonly fetchBlob: FetchBlob;
  readonly onFile?: ((file: ModelFile) => void) | undefined;
}

/** Folder with the model's files. Throws JOIN_REFUSED (names that no model has), STORAGE_FAILED, what fetching throws. */
export async function cachedModel(
  { digest, files }: Manifest['model'],
  { cacheFolder, fetchBlob, onFile }: ModelCache,
): Promise<string> {
  for (const file of files) checkName(file);
  const folder = join(cacheFolder, digest);
  if (await isFolder(folder)) return folder;
  await makeFolder(cacheFolder);
  const work = workFolder(cacheFolder, digest);
  try {
    await makeFolder(work.folder);
    for (const file of files) {
      onFile?.(file);
      await fetchFile(file, work.folder, fetchBlob);
    }
    await giveName(work.folder, folder);
    return folder;
  } finally {
    work.release();
  }
}

/** Whether every file of the list lies in the folder with its digest. */
export async function differingFiles(files: readonly ModelFile[], folder: string): Promise<string[]> {
  const different: string[] = [];
  for (const file of files) {
    checkName(file);
    if ((await fileDigest(join(folder, file.path))) !== file.digest) different.push(file.path);
  }
  return different;
}

function checkName({ path }: ModelFile): void {
  if (isModelFile(path)) return;
  throw new HeadwaterError(
    'JOIN_REFUSED',
    `the model of the run has a file ${JSON.stringify(path)}, which no model needs`,
    {
      hint: 'Tell the operator. Nothing was written.',
    },
  );
}

/** Clients of one machine share the cache: the first one continues what is there, others fetch for themselves. */
function workFolder(cacheFolder: string, digest: string): { readonly folder: string; release(): void } {
  const shared = join(cacheFolder, `${digest}.partial`);
  let lock: RunLock;
  try {
    lock = acquireRunLock(`${shared}.lock`);
  } catch (cause) {
    if (!(cause instanceof HeadwaterError) || cause.code !== 'RUN_LOCKED') throw cause;
    return { folder: `${shared}-${randomUUID()}`, release: () => undefined };
  }
  return { folder: shared, release: () => lock.release() };
}

async function fetchFile(file: ModelFile, folder: string, fetchBlob: FetchBlob): Promise<void> {
  const path = join(folder, file.path);
  if ((await fileDigest(path)) === file.digest) return;
  const sink = await openFileSink(`${path}.part`);
  try {
    await fetchBlob(file, sink);
    await sink.finish(path);
  } finally {
    await sink.close();
  }
}

async function giveName(work: string, folder: string): Promise<void> {
  try {
    await rename(work, folder);
  } catch (cause) {
    // Another client was faster: its folder holds the same bytes.
    if (!(await isFolder(folder))) throw storageError(cause, 'name the model folder', folder);
    await rm(work, { recursive: true, force: true });
  }
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined))?.isDirectory() === true;
}
