/**
 * Brings one file of the hub into a blob of the cache: resumes a partial file by range, verifies the checksum that the
 * server's listing gave, and renames only what is whole. It knows no repository layout.
 */

import { createHash } from 'node:crypto';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { downloadFile } from '@huggingface/hub';
import { HeadwaterError } from '../base/errors.ts';
import { storageError, systemErrorCode } from '../base/io-errors.ts';
import { makeFolder } from '../base/make-folder-node.ts';
import { type HubRepository, hubError } from './hub-errors.ts';
import { streamBytes } from './safetensors-node.ts';

/** A file as the hub's listing describes it. */
export interface HubFile {
  readonly path: string;
  readonly sizeBytes: number;
  /** SHA-256 of large files (LFS, Xet), else git's SHA-1 of `blob <size>\0<content>`. Also the blob's name in the cache. */
  readonly etag: string;
}

export interface DownloadContext {
  readonly repo: HubRepository;
  readonly commit: string;
  readonly accessToken: string | undefined;
  readonly fetch: typeof fetch;
  /** Called after each piece with the bytes of this file that are on disk. */
  readonly onBytes?: (file: HubFile, doneBytes: number) => void;
}

/** Throws HUB_FAILED (connection broke, wrong checksum) or STORAGE_FAILED; a broken connection leaves the partial file. */
export async function downloadToBlob(
  file: HubFile,
  blobPath: string,
  context: DownloadContext,
): Promise<void> {
  if ((await sizeOnDisk(blobPath)) === file.sizeBytes) return;
  const partial = `${blobPath}.incomplete`;
  await makeFolder(dirname(blobPath)).catch((cause) => {
    throw storageError(cause, 'make the model cache', dirname(blobPath));
  });
  await fillPartial(file, partial, context);
  await verify(file, partial, context);
  await rename(partial, blobPath).catch((cause) => {
    throw storageError(cause, 'write to the model cache', blobPath);
  });
}

async function sizeOnDisk(path: string): Promise<number | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ? found.size : undefined;
}

/** Asks again from where the connection broke, as long as every attempt brings bytes. */
async function fillPartial(file: HubFile, partial: string, context: DownloadContext): Promise<void> {
  let have = (await sizeOnDisk(partial)) ?? 0;
  if (have > file.sizeBytes) {
    await rm(partial);
    have = 0;
  }
  if (file.sizeBytes === 0) await (await openPartial(partial)).close();
  while (have < file.sizeBytes) {
    const before = have;
    const failure = await appendFrom(before, file, partial, context);
    have = (await sizeOnDisk(partial)) ?? 0;
    context.onBytes?.(file, have);
    if (have <= before)
      throw hubError(
        failure ?? new Error('the connection ended early'),
        `download ${file.path}`,
        context.repo,
      );
  }
}

/** One request for the rest of the file; returns what broke it, if anything did. Storage errors are thrown. */
async function appendFrom(
  have: number,
  file: HubFile,
  partial: string,
  context: DownloadContext,
): Promise<unknown> {
  const handle = await openPartial(partial);
  let done = have;
  try {
    for await (const piece of await remoteBytes(have, file, context)) {
      await writeAt(handle, piece, done).catch((cause) => {
        throw storageError(cause, `download ${file.path}`, partial);
      });
      done += piece.byteLength;
      context.onBytes?.(file, done);
    }
    await handle.sync();
    return undefined;
  } catch (cause) {
    if (cause instanceof HeadwaterError) throw cause;
    return cause;
  } finally {
    await handle.close();
  }
}

/** A full disk may take a part of a piece before it refuses the rest. */
async function writeAt(handle: FileHandle, piece: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < piece.byteLength; ) {
    const rest = piece.byteLength - written;
    written += (await handle.write(piece, written, rest, position + written)).bytesWritten;
  }
}

async function openPartial(partial: string) {
  try {
    // Not 'a': after a broken write the position must be ours, not the end of the file.
    return await open(partial, 'r+').catch((cause) => {
      if (systemErrorCode(cause) === 'ENOENT') return open(partial, 'w+');
      throw cause;
    });
  } catch (cause) {
    throw storageError(cause, 'write to the model cache', partial);
  }
}

/** Bytes `have` … end of the remote file. */
async function remoteBytes(
  have: number,
  file: HubFile,
  context: DownloadContext,
): Promise<AsyncIterable<Uint8Array>> {
  const { repo, commit, accessToken } = context;
  const guard = guardedFetch(context.fetch);
  const blob = await downloadFile({
    repo: { type: 'model', name: repo.name },
    path: file.path,
    revision: commit,
    hubUrl: repo.endpoint,
    fetch: guard.fetch,
    // Plain ranges work with every endpoint and resume at any byte.
    xet: false,
    ...(accessToken === undefined ? {} : { accessToken }),
  });
  if (blob === null) throw new Error('the listed file is gone');
  if (blob.size !== file.sizeBytes)
    throw new Error(`the server has ${blob.size} bytes, its listing says ${file.sizeBytes}`);
  return guard.rethrowing(blob.slice(have).stream());
}

/**
 * The library's blob hides errors of its own request and believes any successful answer. This notices both: a range that
 * is answered by the whole file, and the original error of a failed request.
 */
function guardedFetch(fetch: typeof globalThis.fetch) {
  let failure: unknown;
  const guarded: typeof globalThis.fetch = async (input, init) => {
    try {
      const response = await fetch(input, init);
      const range = new Headers(init?.headers).get('range');
      if (response.status === 200 && range !== null && !range.startsWith('bytes=0-'))
        throw new Error('the server does not resume downloads (no range requests)');
      return response;
    } catch (cause) {
      failure = cause;
      throw cause;
    }
  };
  async function* rethrowing(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
    try {
      for await (const piece of stream) yield piece;
    } catch (cause) {
      throw failure ?? cause;
    }
  }
  return { fetch: guarded, rethrowing };
}

async function verify(file: HubFile, partial: string, { repo }: DownloadContext): Promise<void> {
  const hash = file.etag.length === 64 ? createHash('sha256') : gitHash(file.sizeBytes);
  for await (const bytes of streamBytes(partial, 0, file.sizeBytes)) hash.update(bytes);
  const got = hash.digest('hex');
  if (got === file.etag) return;
  await rm(partial, { force: true });
  throw new HeadwaterError('HUB_FAILED', `${file.path} has checksum ${got}, the hub promised ${file.etag}`, {
    where: `${repo.endpoint}/${repo.name}`,
    hint: 'The download was damaged and is deleted; run the command again.',
  });
}

function gitHash(sizeBytes: number) {
  return createHash('sha1').update(`blob ${sizeBytes}\0`);
}
