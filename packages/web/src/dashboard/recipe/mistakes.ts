/** Mistakes of a recipe as the coordinator tells them, and which of them belong to a field. Pure. */

import type { Path } from './text.ts';

export interface Mistake {
  readonly path: Path | null;
  readonly line: number | null;
  readonly column: number | null;
  readonly message: string;
}

export function pathText(path: Path): string {
  return path.reduce<string>(
    (text, part) => (typeof part === 'number' ? `${text}[${part}]` : text === '' ? part : `${text}.${part}`),
    '',
  );
}

export function mistakeAt(mistakes: readonly Mistake[], path: Path): string | undefined {
  const wanted = pathText(path);
  const found = mistakes.filter((mistake) => mistake.path !== null && pathText(mistake.path) === wanted);
  return found.length === 0 ? undefined : found.map(({ message }) => message).join('; ');
}

/** `line 4: training.batchSize is required …`. */
export function mistakeText({ path, line, message }: Mistake): string {
  const where = line === null ? '' : `line ${line}: `;
  return path === null || path.length === 0 ? `${where}${message}` : `${where}${pathText(path)}: ${message}`;
}
