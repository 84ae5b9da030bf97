/** A recipe's YAML text → the recipe, or every mistake in it with its place. Knows no file; paths stay as they are written. */

import { type Document, LineCounter } from 'yaml';
import { checkRecipe } from './check.ts';
import { type Issue, pathText } from './issues.ts';
import { applyOverrides, type Override, overrideOf, parseOverride } from './overrides.ts';
import { offsetOf } from './positions.ts';
import type { Registries } from './registries.ts';
import type { Recipe } from './schema.ts';
import { readYaml } from './yaml.ts';

export interface TextMistake {
  /** Of the recipe; null: the text is no YAML that is taken. */
  readonly path: readonly PropertyKey[] | null;
  /** From 1; null: nothing in the text is to blame. */
  readonly line: number | null;
  readonly column: number | null;
  /** The `--set` that is to blame. */
  readonly override: string | null;
  readonly message: string;
}

export interface CheckTextOptions {
  /** `--set` texts. */
  readonly overrides?: readonly string[] | undefined;
  readonly registries: Registries;
}

/** Mistakes in the order of the text. Throws OPTION_INVALID for an override that is none. */
export function checkRecipeText(
  text: string,
  options: CheckTextOptions,
): { readonly recipe?: Recipe; readonly mistakes: readonly TextMistake[] } {
  const lines = new LineCounter();
  const { document, mistakes } = readYaml(text, lines);
  if (mistakes.length > 0) {
    const found = mistakes.map(({ offset, message }) => ({ path: null, ...placeOf(offset, lines), message }));
    return { mistakes: found };
  }
  const overrides = (options.overrides ?? []).map(parseOverride);
  const positions = document.clone() as Document;
  applyOverrides(document, overrides);
  const { recipe, issues } = checkRecipe(document.toJS(), options.registries);
  if (recipe !== undefined) return { recipe, mistakes: [] };
  return { mistakes: located(issues, positions, lines, overrides) };
}

/** Overrides are listed after the mistakes of the text, in their own order. */
const AFTER_THE_TEXT = 2 ** 40;

function located(
  issues: readonly Issue[],
  document: Document,
  lines: LineCounter,
  overrides: readonly Override[],
): TextMistake[] {
  const found = issues.map(({ path, message, atKey }) => {
    const override = overrideOf(path, overrides);
    const offset = override === undefined ? offsetOf(document, path, atKey === true) : undefined;
    const order = override === undefined ? (offset ?? 0) : AFTER_THE_TEXT + overrides.indexOf(override);
    const place = { ...placeOf(offset, lines), override: override?.text ?? null };
    return { order, mistake: { path, ...place, message } };
  });
  found.sort((a, b) => a.order - b.order);
  return found.map(({ mistake }) => mistake);
}

function placeOf(
  offset: number | undefined,
  lines: LineCounter,
): Pick<TextMistake, 'line' | 'column' | 'override'> {
  const { line, col } = offset === undefined ? { line: null, col: null } : lines.linePos(offset);
  return { line, column: col, override: null };
}

/** `recipe.yaml:3:5  training.batchSize: …`. */
export function mistakeText(file: string, { path, line, column, override, message }: TextMistake): string {
  const where = override !== null ? `--set ${override}` : line === null ? file : `${file}:${line}:${column}`;
  return path === null ? `${where}  ${message}` : `${where}  ${pathText(path)}: ${message}`;
}
