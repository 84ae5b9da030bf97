/** How the operator's commands find the admin API of a coordinator and prove themselves: two files in its folder. */

import { randomBytes, timingSafeEqual } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeSynced } from '../base/durable-node.ts';
import { HeadwaterError } from '../base/errors.ts';
import { storageError } from '../base/io-errors.ts';
import { writeFileAtomically } from '../storage/atomic-file.ts';

const paths = (folder: string) => ({
  token: join(folder, 'admin.token'),
  address: join(folder, 'admin.json'),
});

/** Made once for a folder; mode 0600. Throws STORAGE_FAILED. */
export async function openAdminToken(folder: string): Promise<string> {
  const { token } = paths(folder);
  if (!existsSync(token)) await create(token);
  return readToken(token);
}

async function create(path: string): Promise<void> {
  try {
    await writeSynced(path, `${randomBytes(32).toString('base64url')}\n`, 0o600);
  } catch (cause) {
    // Another process of this folder may have been faster.
    if (!existsSync(path)) throw storageError(cause, 'write the admin token', path);
  }
}

async function readToken(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim();
  } catch (cause) {
    throw storageError(cause, 'read the admin token', path);
  }
}

export function isAdminToken(expected: string, header: string | undefined): boolean {
  const given = Buffer.from(/^Bearer (\S{1,200})$/.exec(header ?? '')?.[1] ?? '');
  const wanted = Buffer.from(expected);
  return given.byteLength === wanted.byteLength && timingSafeEqual(given, wanted);
}

export async function writeAdminAddress(folder: string, url: string): Promise<void> {
  await writeFileAtomically(paths(folder).address, `${JSON.stringify({ url, pid: process.pid })}\n`);
}

export interface AdminAccess {
  readonly url: string;
  readonly token: string;
}

/** Throws RUN_NOT_FOUND when no coordinator was ever started with the folder. */
export async function findAdmin(folder: string): Promise<AdminAccess> {
  const { token, address } = paths(folder);
  if (!existsSync(token) || !existsSync(address))
    throw new HeadwaterError('RUN_NOT_FOUND', 'no coordinator was started with this folder', {
      where: folder,
      hint: 'Give the --store of `headwater serve`, or --coordinator with its admin address.',
    });
  const { url } = JSON.parse(await readFile(address, 'utf8')) as { url: string };
  return { url, token: await readToken(token) };
}
