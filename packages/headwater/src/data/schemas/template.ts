/**
 * `"Question: {question}\nAnswer:"`: texts with columns in braces; `{{` and `}}` are plain braces. `{context.contexts}` reaches
 * into a column that holds an object, and a list of texts becomes its lines.
 */

import { asText, kindOf, RowProblem, type RowValues, requireColumn } from './schema.ts';

const PART = /\{\{|\}\}|\{([^{}]+)\}/g;

export function fillTemplate(template: string, row: RowValues): string {
  return template.replaceAll(PART, (text, column: string | undefined) => {
    if (column === undefined) return text[0] as string;
    const name = column.trim();
    const value = valueAt(row, name);
    return Array.isArray(value) ? value.map((item) => asText(item, name)).join('\n') : asText(value, name);
  });
}

function valueAt(row: RowValues, name: string): unknown {
  const dot = name.indexOf('.');
  if (dot < 0 || Object.hasOwn(row, name)) return requireColumn(row, name);
  const inner = requireColumn(row, name.slice(0, dot));
  if (inner === null || typeof inner !== 'object' || Array.isArray(inner))
    throw new RowProblem(
      `column "${name.slice(0, dot)}" holds ${kindOf(inner)}, an object was expected for "${name}"`,
    );
  return valueAt(inner as RowValues, name.slice(dot + 1));
}
