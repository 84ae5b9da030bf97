/** `--set a.b=c`: values of a recipe given on the command line. Values are YAML, so `true`, `3e-4`, `[q, v]` work. */

import { type Document, isCollection, isNode } from 'yaml';
import { HeadwaterError } from '../base/errors.ts';
import type { Path } from './issues.ts';
import { readYaml } from './yaml.ts';

export interface Override {
  /** As the user typed it, for messages. */
  readonly text: string;
  readonly path: Path;
  readonly value: unknown;
}

/** Throws OPTION_INVALID when the text is no `path=value`. */
export function parseOverride(text: string): Override {
  const equals = text.indexOf('=');
  const path = pathFromText(text.slice(0, Math.max(equals, 0)));
  if (equals < 0 || path === undefined)
    throw new HeadwaterError('OPTION_INVALID', `--set ${text}: expected path=value`, {
      hint: 'For example: --set training.batchSize=16',
    });
  const { document, mistakes } = readYaml(text.slice(equals + 1));
  const [mistake] = mistakes;
  if (mistake === undefined) return { text, path, value: document.toJS() };
  throw new HeadwaterError(
    'OPTION_INVALID',
    `--set ${text}: the value is no plain YAML: ${mistake.message}`,
    {
      hint: 'Quote values with special characters: --set name="a: b"',
    },
  );
}

/** `evaluation.tasks[0].kind` → its parts; undefined when it is no path. */
export function pathFromText(text: string): Path | undefined {
  const path = text
    .trim()
    .replaceAll(/\[(\d+)\]/g, '.$1')
    .split('.')
    .map((part) => (/^\d+$/.test(part) ? Number(part) : part));
  return path.some((part) => part === '') ? undefined : path;
}

/** Writes the overrides into the document, in order. A list or map that does not exist yet is created. */
export function applyOverrides(document: Document, overrides: readonly Override[]): void {
  for (const override of overrides) {
    clearTheWay(document, override);
    document.setIn(override.path, document.createNode(override.value));
  }
}

/** `--set a.b=1` where `a: 3`: the scalar in the way would make the library throw; the schema judges what comes out. */
function clearTheWay(document: Document, override: Override): void {
  for (let depth = 1; depth < override.path.length; depth++) {
    const parent = document.getIn(override.path.slice(0, depth), true);
    if (isNode(parent) && !isCollection(parent)) document.deleteIn(override.path.slice(0, depth));
  }
}

/** The last override that set this path, something above it or something below it. */
export function overrideOf<O extends Override>(path: Path, overrides: readonly O[]): O | undefined {
  return overrides.findLast(({ path: set }) => {
    const common = Math.min(set.length, path.length);
    return set.slice(0, common).every((part, index) => String(part) === String(path[index]));
  });
}
