/**
 * JSON from strangers: finds what JSON.parse hides (duplicate keys, also escaped ones; numbers that lose digits; deep
 * nesting; keys that are no data in JavaScript) before it parses. It refuses to know what the document means: schemas
 * come after.
 */

import { messageOf } from './errors.ts';

export interface StrictJsonLimits {
  readonly maxDepth: number;
  /** Keys of all objects together. */
  readonly maxKeys: number;
  /**
   * `naturals` (default): all numbers are integers from 0 to 2⁵³ − 1, written plainly (`1e2`, `-0`, `2.0` are refused).
   * `finite`: any number that does not become infinite; whole ones written without exponent keep all their digits.
   */
  readonly numbers?: 'naturals' | 'finite';
  /** Refuses the keys `__proto__`, `constructor` and `prototype`: copied carelessly they change what objects are. */
  readonly plainKeys?: boolean;
}

export type StrictJsonFault =
  | 'syntax'
  | 'too-deep'
  | 'too-many-keys'
  | 'duplicate-key'
  | 'forbidden-key'
  | 'number-overflow'
  | 'number-not-integer';

export type StrictJsonResult =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly fault: StrictJsonFault; readonly detail: string };

/** Linear in the length of the text; it is the caller who bounds that. */
export function parseStrictJson(text: string, limits: StrictJsonLimits): StrictJsonResult {
  const fault = scan(text, limits);
  if (fault !== undefined) return fault;
  try {
    return { ok: true, value: JSON.parse(text) };
  } catch (cause) {
    return failure('syntax', messageOf(cause));
  }
}

interface Failure {
  readonly ok: false;
  readonly fault: StrictJsonFault;
  readonly detail: string;
}

function failure(fault: StrictJsonFault, detail: string): Failure {
  return { ok: false, fault, detail };
}

/** One pass over the tokens. Broken syntax is left to JSON.parse, which runs only after this pass found no other fault. */
function scan(text: string, limits: StrictJsonLimits): Failure | undefined {
  const open: Set<string>[] = [];
  let keys = 0;
  let at = 0;
  while (at < text.length) {
    const char = text[at] as string;
    if (char === '{' || char === '[') {
      if (open.push(new Set()) > limits.maxDepth)
        return failure('too-deep', `more than ${limits.maxDepth} levels`);
      at++;
    } else if (char === '}' || char === ']') {
      open.pop();
      at++;
    } else if (char === '"') {
      const end = endOfString(text, at);
      if (isKey(text, end)) {
        if (++keys > limits.maxKeys) return failure('too-many-keys', `more than ${limits.maxKeys} keys`);
        const fault = addKey(open.at(-1), text.slice(at, end), limits);
        if (fault !== undefined) return fault;
      }
      at = end;
    } else if (char === '-' || (char >= '0' && char <= '9')) {
      const token = NUMBER.exec(sticky(text, at))?.[0] ?? char;
      const fault = limits.numbers === 'finite' ? checkFinite(token) : checkNatural(token);
      if (fault !== undefined) return fault;
      at += token.length;
    } else {
      at++;
    }
  }
  return undefined;
}

const NUMBER = /[-+0-9.eE]+/y;

function sticky(text: string, at: number): string {
  NUMBER.lastIndex = at;
  return text;
}

function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return Math.min(at + 1, text.length);
}

function isKey(text: string, end: number): boolean {
  let at = end;
  while (text[at] === ' ' || text[at] === '\n' || text[at] === '\t' || text[at] === '\r') at++;
  return text[at] === ':';
}

const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

function addKey(
  object: Set<string> | undefined,
  literal: string,
  { plainKeys }: StrictJsonLimits,
): Failure | undefined {
  let key: unknown;
  try {
    key = JSON.parse(literal);
  } catch {
    return failure('syntax', `${literal.slice(0, 80)} is no string`);
  }
  if (typeof key !== 'string' || object === undefined) return failure('syntax', 'a key outside an object');
  if (object.has(key)) return failure('duplicate-key', JSON.stringify(key));
  if (plainKeys === true && FORBIDDEN_KEYS.has(key)) return failure('forbidden-key', JSON.stringify(key));
  object.add(key);
  return undefined;
}

function checkNatural(token: string): Failure | undefined {
  if (!/^(0|[1-9][0-9]*)$/.test(token)) return failure('number-not-integer', token.slice(0, 40));
  if (!Number.isSafeInteger(Number(token))) return failure('number-overflow', token.slice(0, 40));
  return undefined;
}

function checkFinite(token: string): Failure | undefined {
  const value = Number(token);
  if (!Number.isFinite(value) || (/^-?\d+$/.test(token) && !Number.isSafeInteger(value)))
    return failure('number-overflow', token.slice(0, 40));
  return undefined;
}
