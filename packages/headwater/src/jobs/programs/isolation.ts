/** Whether this system can start a process without network, and how. Linux: namespaces of util-linux' `unshare`. */

import { execFile } from 'node:child_process';

/** Without network and, where possible, without sight of other processes; the first that works here. */
const WAYS: readonly (readonly string[])[] = [
  ['unshare', '--map-root-user', '--net', '--pid', '--fork', '--kill-child'],
  ['unshare', '--map-root-user', '--net'],
];

let found: Promise<readonly string[] | undefined> | undefined;

/** Words to put before a command; undefined where there is no way. Tried once. */
export function isolation(): Promise<readonly string[] | undefined> {
  found ??= firstThatWorks();
  return found;
}

async function firstThatWorks(): Promise<readonly string[] | undefined> {
  if (process.platform !== 'linux') return undefined;
  for (const way of WAYS) if (await works([...way, 'true'])) return way;
  return undefined;
}

export function works([file, ...args]: readonly string[]): Promise<boolean> {
  return new Promise((resolve) => {
    execFile(file!, args, { timeout: 10_000 }, (error) => resolve(error === null));
  });
}
