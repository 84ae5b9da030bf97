/**
 * Repairs one gap of the Jinja engine: its `strip`, `lstrip` and `rstrip` ignore their argument (the characters to
 * strip), which Qwen3's template and its relatives use. Calls with an argument become calls of the functions below.
 */

interface Node {
  readonly type: string;
}

interface MethodCall extends Node {
  readonly callee: Node & { readonly object: Node; readonly property: Node & { readonly value?: unknown } };
  readonly args: readonly Node[];
}

/** Globals that the rewritten calls need. */
export const stripFunctions: Readonly<Record<string, (text: string, chars: string) => string>> = {
  python_strip: (text, chars) => stripEnd(stripStart(text, chars), chars),
  python_lstrip: stripStart,
  python_rstrip: stripEnd,
};

/** The same syntax tree with `x.lstrip('\n')` as `python_lstrip(x, '\n')`. */
export function withStripArguments<T>(tree: T): T {
  return rewrite(tree) as T;
}

function rewrite(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(rewrite);
  if (node === null || typeof node !== 'object') return node;
  if (node instanceof Map) return new Map([...node].map(([key, value]) => [rewrite(key), rewrite(value)]));
  const copy = Object.assign(Object.create(Object.getPrototypeOf(node)), node) as Record<string, unknown>;
  for (const [key, value] of Object.entries(copy)) copy[key] = rewrite(value);
  return isStripCall(copy) ? functionCall(copy) : copy;
}

function isStripCall(node: object): node is MethodCall {
  const { type, callee, args } = node as Partial<MethodCall>;
  return (
    type === 'CallExpression' &&
    args?.length === 1 &&
    callee?.type === 'MemberExpression' &&
    Object.hasOwn(stripFunctions, `python_${String(callee.property.value)}`)
  );
}

function functionCall({ callee, args }: MethodCall): Node & Record<string, unknown> {
  const name = `python_${String(callee.property.value)}`;
  return {
    type: 'CallExpression',
    callee: { type: 'Identifier', value: name },
    args: [callee.object, ...args],
  };
}

function stripStart(text: string, chars: string): string {
  const set = new Set(chars);
  const kept = [...text];
  const first = kept.findIndex((char) => !set.has(char));
  return first < 0 ? '' : kept.slice(first).join('');
}

function stripEnd(text: string, chars: string): string {
  const set = new Set(chars);
  const kept = [...text];
  return kept.slice(0, kept.findLastIndex((char) => !set.has(char)) + 1).join('');
}
