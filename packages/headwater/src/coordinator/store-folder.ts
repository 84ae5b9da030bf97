/**
 * What lies where in the folder of a coordinator that keeps everything on one machine.
 *
 *   store.sqlite   journals, tokens, keys, recipes      runs/        results, one folder a run
 *   blobs/         params and updates in use            serve.lock   one process serves a folder
 */

import { join } from 'node:path';

export const storePaths = (folder: string) => ({
  database: join(folder, 'store.sqlite'),
  blobs: join(folder, 'blobs'),
  runs: join(folder, 'runs'),
  lock: join(folder, 'serve.lock'),
});
