/** Which modules a source file imports, by text: our files are formatted, so import statements have few shapes. */

import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';

export interface SourceFile {
  /** Path relative to the source folder, `/` as separator. */
  readonly path: string;
  readonly imports: readonly Import[];
}

export interface Import {
  readonly specifier: string;
  readonly line: number;
  readonly typeOnly: boolean;
  /** Relative specifiers resolved against the source folder. */
  readonly target: string | undefined;
}

const STATEMENT =
  /^[ \t]*(?:import|export)\s+(type\s)?[^'";]*?from\s*'([^']+)'|^[ \t]*import\s+'([^']+)'|\bimport\('([^']+)'\)/gm;

export function importsOf(path: string, text: string): Import[] {
  return [...text.matchAll(STATEMENT)].map((match) => {
    const specifier = match[2] ?? match[3] ?? match[4] ?? '';
    const end = match.index + match[0].length;
    return {
      specifier,
      line: text.slice(0, end).split('\n').length,
      typeOnly: match[1] !== undefined,
      target: specifier.startsWith('.') ? posix.join(posix.dirname(path), specifier) : undefined,
    };
  });
}

/** Every .ts and .tsx file below `folder`, declaration files excepted. */
export function readSources(folder: string): SourceFile[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => /\.tsx?$/.test(file) && !file.endsWith('.d.ts'))
    .map((file) => file.replaceAll('\\', '/'))
    .sort()
    .map((path) => ({ path, imports: importsOf(path, readFileSync(join(folder, path), 'utf8')) }));
}
