/** How a part of the recipe's JSON Schema is shown: which kind of field, whether it must be there, what it is otherwise. Pure. */

export interface Schema {
  readonly type?: string;
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  /** Of records: one for each kind. */
  readonly oneOf?: readonly Schema[];
}

export type FieldKind = 'group' | 'record' | 'records' | 'choice' | 'boolean' | 'number' | 'text' | 'yaml';

export function kindOf(schema: Schema): FieldKind {
  if (schema.oneOf !== undefined) return 'record';
  if (schema.items?.oneOf !== undefined) return 'records';
  if (schema.enum !== undefined) return 'choice';
  if (schema.type === 'object' && schema.properties !== undefined) return 'group';
  if (schema.type === 'boolean') return 'boolean';
  if (schema.type === 'integer' || schema.type === 'number') return 'number';
  return schema.type === 'string' ? 'text' : 'yaml';
}

/** `kind` of a record is shown by the record itself. */
export function fieldsOf({ properties = {} }: Schema): [key: string, schema: Schema][] {
  return Object.entries(properties).filter(([, schema]) => schema.const === undefined);
}

export function isRequired({ required = [] }: Schema, key: string): boolean {
  return required.includes(key);
}

export function variantOf({ oneOf = [] }: Schema, kind: unknown): Schema | undefined {
  return oneOf.find(({ properties }) => properties?.kind?.const === kind);
}

/** `localSteps` → `Local steps`. */
export function labelOf(key: string): string {
  const words = key.replaceAll(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** What a field is when it is left empty, in a few words. */
export function defaultText({ default: value }: Schema): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'object') {
    const { kind } = value as { kind?: unknown };
    return typeof kind === 'string' ? kind : undefined;
  }
  return String(value);
}
