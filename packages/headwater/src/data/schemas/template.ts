/** `"Question: {question}\nAnswer:"`: texts with columns in braces; `{{` and `}}` are plain braces. */

import { type RowValues, textColumn } from './schema.ts';

const PART = /\{\{|\}\}|\{([^{}]+)\}/g;

export function fillTemplate(template: string, row: RowValues): string {
  return template.replaceAll(PART, (text, column: string | undefined) => {
    if (column === undefined) return text[0] as string;
    return textColumn(row, column.trim());
  });
}
