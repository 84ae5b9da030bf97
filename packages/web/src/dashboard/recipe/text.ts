/**
 * The text of a recipe is the truth; a form reads values out of it and writes single ones into it, so that comments and the
 * order of keys stay as somebody wrote them. Pure.
 */

import { type Document, isMap, isSeq, parse, parseDocument, stringify } from 'yaml';

export type Path = readonly (string | number)[];

/** Undefined: it is no YAML at present. */
export function valueIn(text: string): unknown {
  const document = parseDocument(text);
  if (document.errors.length > 0) return undefined;
  try {
    return document.toJS() ?? {};
  } catch {
    // An alias that leads nowhere.
    return undefined;
  }
}

export function at(value: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (here, key) =>
      here === null || typeof here !== 'object' ? undefined : (here as Record<PropertyKey, unknown>)[key],
    value,
  );
}

/** `value` undefined: the key goes, and with it maps that it leaves empty. */
export function withValue(text: string, path: Path, value: unknown): string {
  const document: Document = parseDocument(text);
  if (document.errors.length > 0) return text;
  if (document.contents === null) document.contents = document.createNode({});
  if (value === undefined) prune(document, path);
  else {
    clearTheWay(document, path);
    document.setIn(path, document.createNode(value));
  }
  return document.toString({ lineWidth: 0 });
}

function prune(document: Document, path: Path): void {
  document.deleteIn(path);
  const parent = path.slice(0, -1);
  if (parent.length === 0) return;
  const left = document.getIn(parent);
  if ((isMap(left) || isSeq(left)) && left.items.length === 0) prune(document, parent);
}

/** Where a scalar stands now, a map has to be. */
function clearTheWay(document: Document, path: Path): void {
  for (let depth = 1; depth < path.length; depth++) {
    const here = document.getIn(path.slice(0, depth), true);
    if (here !== undefined && !isMap(here) && !isSeq(here)) document.deleteIn(path.slice(0, depth));
  }
}

/** A value on one line, as a field shows it. */
export function inlineText(value: unknown): string {
  if (value === undefined) return '';
  if (typeof value === 'string') return value;
  return stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim();
}

/** What somebody typed into such a field; undefined: nothing. */
export function inlineValue(typed: string): unknown {
  if (typed.trim() === '') return undefined;
  try {
    return parse(typed);
  } catch {
    return typed;
  }
}
