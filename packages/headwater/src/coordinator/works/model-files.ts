/** The files of a base model that clients may fetch from the coordinator: their names, sizes and digests, and their bytes. */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { storageError } from '../../base/io-errors.ts';
import type { Manifest } from '../../federation/wire/messages.ts';
import { isHubId, isModelFile } from '../../federation/wire/model-file.ts';
import type { ByteRange } from '../../storage/blobs.ts';

type ModelFile = Manifest['model']['files'][number];

/** What clients are told instead of a path of this machine. */
export function sourceName(model: string): string {
  return isHubId(model) ? model : basename(model);
}

/** Sorted by name. Reads every byte once. Throws STORAGE_FAILED. */
export async function listModelFiles(folder: string): Promise<ModelFile[]> {
  const names = (await readdir(folder).catch((cause) => fail(cause, folder))).filter((name) =>
    isModelFile(name),
  );
  const files: ModelFile[] = [];
  for (const path of names.sort()) files.push(await describe(folder, path));
  return files;
}

async function describe(folder: string, path: string): Promise<ModelFile> {
  const file = join(folder, path);
  try {
    const hash = createHash('sha256');
    for await (const piece of createReadStream(file, { highWaterMark: 1 << 20 })) hash.update(piece);
    return { path, bytes: (await stat(file)).size, digest: hash.digest('hex') };
  } catch (cause) {
    return fail(cause, file);
  }
}

export function streamModelFile(folder: string, path: string, range?: ByteRange): AsyncIterable<Uint8Array> {
  if (range?.length === 0) return nothing();
  const part = range === undefined ? {} : { start: range.offset, end: range.offset + range.length - 1 };
  return createReadStream(join(folder, path), { ...part, highWaterMark: 1 << 18 });
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

function fail(cause: unknown, where: string): never {
  throw storageError(cause, 'read the model', where);
}
