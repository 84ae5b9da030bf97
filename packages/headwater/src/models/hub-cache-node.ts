/**
 * The local cache of hub repositories, in the layout that the Python libraries share: `blobs/<etag>` holds each content
 * once, `snapshots/<commit>/<file>` links to it, `refs/<revision>` names the commit. A blob or link that exists is whole.
 */

import { copyFile, link, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { storageError, systemErrorCode } from '../base/io-errors.ts';
import { makeFolder } from '../base/make-folder-node.ts';
import { openShards } from './shards-node.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** HF_HUB_CACHE, or `hub` under HF_HOME (default `~/.cache/huggingface`). */
export function cacheFolder(env: Environment): string {
  const home = env.HF_HOME ?? join(env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'huggingface');
  return env.HF_HUB_CACHE ?? env.HUGGINGFACE_HUB_CACHE ?? join(home, 'hub');
}

export interface RepositoryCache {
  blobPath(etag: string): string;
  snapshotFolder(commit: string): string;
  /** Commit that a revision named when it was last downloaded whole. */
  knownCommit(revision: string): Promise<string | undefined>;
  remember(revision: string, commit: string): Promise<void>;
  /** Makes `file` of a snapshot point to a blob. */
  linkFile(commit: string, file: string, etag: string): Promise<void>;
}

export function repositoryCache(cache: string, name: string): RepositoryCache {
  const root = join(cache, `models--${name.replace('/', '--')}`);
  const blobPath = (etag: string) => join(root, 'blobs', etag);
  const snapshotFolder = (commit: string) => join(root, 'snapshots', commit);
  return {
    blobPath,
    snapshotFolder,
    knownCommit: (revision) => knownCommit(root, revision),
    remember: (revision, commit) => writing(root, () => remember(root, revision, commit)),
    linkFile: (commit, file, etag) =>
      writing(root, () => linkFile(blobPath(etag), join(snapshotFolder(commit), file))),
  };
}

export const COMMIT = /^[0-9a-f]{40}$/;

async function knownCommit(root: string, revision: string): Promise<string | undefined> {
  if (COMMIT.test(revision)) return revision;
  const text = await readFile(join(root, 'refs', revision), 'utf8').catch(() => '');
  return COMMIT.test(text.trim()) ? text.trim() : undefined;
}

async function remember(root: string, revision: string, commit: string): Promise<void> {
  const path = join(root, 'refs', revision);
  await makeFolder(dirname(path));
  const temporary = `${path}.${process.pid}.tmp`;
  await writeFile(temporary, commit);
  await rename(temporary, path);
}

async function linkFile(blob: string, path: string): Promise<void> {
  await makeFolder(dirname(path));
  const temporary = `${path}.${process.pid}.tmp`;
  try {
    await symlink(relative(dirname(path), blob), temporary);
  } catch (cause) {
    // Windows without developer mode has no symbolic links; other volumes no hard links.
    if (systemErrorCode(cause) !== 'EPERM') throw cause;
    await link(blob, temporary).catch(() => copyFile(blob, temporary));
  }
  await rename(temporary, path);
}

async function writing(where: string, act: () => Promise<void>): Promise<void> {
  try {
    await act();
  } catch (cause) {
    throw storageError(cause, 'write to the model cache', where);
  }
}

/** True when config.json and every weight of a snapshot are there. Weights are downloaded last, so all else is, too. */
export async function isWhole(snapshot: string): Promise<boolean> {
  try {
    await stat(join(snapshot, 'config.json'));
    await openShards(snapshot);
    return true;
  } catch {
    return false;
  }
}
