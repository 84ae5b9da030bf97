/** The list of files that a command wrote, as its last lines. */

import { relative } from 'node:path';

/** Names and paths, one a line; paths as seen from the working directory where that is shorter. */
export function printFiles(files: Readonly<Record<string, string>>): void {
  for (const [name, path] of Object.entries(files)) console.log(`  ${name.padEnd(8)} ${shortest(path)}`);
}

function shortest(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith('..') ? path : short;
}
