/** Where clients keep what they must not lose: one folder for each invitation, and one cache of base models for all. */

import { homedir } from 'node:os';
import { join } from 'node:path';
import { digestBytes } from '../base/canonical.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** HEADWATER_HOME, else `~/.headwater`. */
function homeFolder(env: Environment): string {
  return env.HEADWATER_HOME ?? join(homedir(), '.headwater');
}

/** The same address and token lead to the same folder, so that the same command continues. The token is not in its name. */
export function stateFolder(url: string, token: string | undefined, env: Environment = process.env): string {
  const id = digestBytes(new TextEncoder().encode(JSON.stringify([url, token ?? '']))).slice(0, 16);
  return join(homeFolder(env), 'clients', id);
}

export function modelCacheFolder(env: Environment = process.env): string {
  return join(homeFolder(env), 'models');
}
