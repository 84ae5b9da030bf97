/** Where certificates lie in a folder, with modes that keep the keys private. Nothing is ever written over. */

import { existsSync } from 'node:fs';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFolder } from '../../base/durable-node.ts';
import { HeadwaterError } from '../../base/errors.ts';
import { storageError } from '../../base/io-errors.ts';
import { type KeyAndCertificate, makeAuthority, makeServerCertificate } from './certificates.ts';

const AUTHORITY_DAYS = 3650;

export const certificatePaths = (folder: string) => ({
  authority: join(folder, 'ca.pem'),
  authorityKey: join(folder, 'ca.key'),
  server: join(folder, 'server.pem'),
  serverKey: join(folder, 'server.key'),
});

/**
 * A server certificate in `folder`, signed by the authority there, which is made when there is none.
 * Throws RUN_EXISTS when the folder holds a server certificate; OPTION_INVALID; STORAGE_FAILED.
 */
export async function writeCertificates(
  folder: string,
  hosts: readonly string[],
  options: { readonly nowMs: number; readonly days: number },
): Promise<{ readonly newAuthority: boolean }> {
  const paths = certificatePaths(folder);
  for (const path of [paths.server, paths.serverKey]) if (existsSync(path)) throw exists(path);
  const known = await readAuthority(folder);
  const authority = known ?? (await makeAuthority(options.nowMs, AUTHORITY_DAYS));
  const server = await makeServerCertificate(authority, hosts, options.nowMs, options.days);
  const files: [string, string, number][] = [
    [paths.serverKey, server.key, 0o600],
    [paths.server, server.cert, 0o644],
  ];
  if (known === undefined)
    files.unshift([paths.authorityKey, authority.key, 0o600], [paths.authority, authority.cert, 0o644]);
  await writeAll(folder, files);
  return { newAuthority: known === undefined };
}

async function readAuthority(folder: string): Promise<KeyAndCertificate | undefined> {
  const { authority, authorityKey } = certificatePaths(folder);
  const [cert, key] = [existsSync(authority), existsSync(authorityKey)];
  if (!cert && !key) return undefined;
  if (!cert || !key) throw exists(cert ? authority : authorityKey);
  try {
    return { cert: await readFile(authority, 'utf8'), key: await readFile(authorityKey, 'utf8') };
  } catch (cause) {
    throw storageError(cause, 'read the certificate authority', folder);
  }
}

/** All or none of them. */
async function writeAll(folder: string, files: readonly [string, string, number][]): Promise<void> {
  const written: string[] = [];
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    for (const [path, text, mode] of files) {
      const file = await open(path, 'wx', mode);
      written.push(path);
      try {
        await file.writeFile(text);
        await file.sync();
      } finally {
        await file.close();
      }
    }
    await syncFolder(folder);
  } catch (cause) {
    for (const path of written) await rm(path, { force: true });
    throw storageError(cause, 'write the certificates', folder);
  }
}

function exists(path: string): HeadwaterError {
  return new HeadwaterError('RUN_EXISTS', 'there is a certificate or key already', {
    where: path,
    hint: 'Choose another folder with --out. To renew, move server.pem and server.key away; ca.pem and ca.key are used again.',
  });
}
