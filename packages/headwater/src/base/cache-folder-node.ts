/** Where things are kept that can be made again: `$XDG_CACHE_HOME/headwater`, or the temporary folder without a home. */

import { access, constants } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFolder } from './make-folder-node.ts';

export async function cacheFolder(): Promise<string> {
  const folder = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'headwater');
  try {
    await makeFolder(folder);
    await access(folder, constants.W_OK);
    return folder;
  } catch {
    return join(tmpdir(), 'headwater');
  }
}
