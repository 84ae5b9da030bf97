/** What a rule over several keys of a recipe looks at and what it answers. */

import type { Issue, Path } from './issues.ts';

export type Rule = (get: Getter) => Issue | undefined;

interface Getter {
  readonly number: (path: string) => number | undefined;
  readonly value: (path: string) => unknown;
}

/** `path`: with points between the keys. */
export function mistake(path: string, message: string): Issue {
  return { path: split(path), message };
}

export function split(path: string): Path {
  return path.split('.');
}
