/** Where a path of a recipe stands in its YAML text: `file:line:column`. Knows the yaml package's nodes, no schema. */

import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  type LineCounter,
  type Node,
  type Pair,
} from 'yaml';
import type { Path } from './issues.ts';

/** Byte offset of the deepest part of `path` that exists; `atKey` asks for the last key instead of its value. */
export function offsetOf(document: Document, path: Path, atKey: boolean): number | undefined {
  let node: unknown = document.contents;
  let offset = startOf(node);
  for (const [index, part] of path.entries()) {
    if (isAlias(node)) node = node.resolve(document);
    if (isSeq(node)) node = node.items[Number(part)];
    else {
      const pair = pairOf(node, part);
      if (pair === undefined) return offset;
      offset = startOf(pair.key) ?? offset;
      if (atKey && index === path.length - 1) return offset;
      node = pair.value;
    }
    if (isNode(node)) offset = valueStart(node) ?? offset;
  }
  return offset;
}

export function lineText(file: string, offset: number | undefined, lines: LineCounter): string {
  if (offset === undefined) return file;
  const { line, col } = lines.linePos(offset);
  return `${file}:${line}:${col}`;
}

function pairOf(node: unknown, key: PropertyKey): Pair | undefined {
  if (!isMap(node)) return undefined;
  return node.items.find((pair) => isScalar(pair.key) && String(pair.key.value) === String(key));
}

function startOf(node: unknown): number | undefined {
  return isNode(node) ? (node.range?.[0] ?? undefined) : undefined;
}

/** A map's own position is that of its first key, one line too low for "something is missing here"; keep the key's. */
function valueStart(node: Node): number | undefined {
  return isMap(node) || isSeq(node) ? undefined : startOf(node);
}
