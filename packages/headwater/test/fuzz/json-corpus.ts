/** Forty hostile JSON documents and what the strict parser of the wire says to each. Large ones are made, not stored. */

import type { StrictJsonFault } from '../../src/base/strict-json.ts';

interface HostileJson {
  readonly id: string;
  readonly text: string;
  /** `ok`: harmless as JSON; a schema has to refuse it. */
  readonly expect: StrictJsonFault | 'ok';
}

const deep = (open: string, close: string, levels: number) => open.repeat(levels) + close.repeat(levels);
const manyKeys = (count: number) => `{${Array.from({ length: count }, (_, i) => `"k${i}":0`).join(',')}}`;

export const jsonCorpus: readonly HostileJson[] = [
  { id: 'duplicate key', text: '{"round":1,"round":2}', expect: 'duplicate-key' },
  { id: 'duplicate key, one escaped', text: '{"round":1,"\\u0072ound":2}', expect: 'duplicate-key' },
  { id: 'duplicate key, deeper', text: '{"a":{"b":1,"b":1}}', expect: 'duplicate-key' },
  { id: 'duplicate key in a list', text: '[{"a":1,"a":1}]', expect: 'duplicate-key' },
  { id: 'duplicate empty key', text: '{"":1,"":2}', expect: 'duplicate-key' },
  { id: '__proto__', text: '{"__proto__":{"polluted":true}}', expect: 'forbidden-key' },
  { id: '__proto__, escaped', text: '{"\\u005f_proto__":{"polluted":true}}', expect: 'forbidden-key' },
  { id: '__proto__, deeper', text: '{"stats":{"__proto__":{"polluted":true}}}', expect: 'forbidden-key' },
  { id: '__proto__ in a list', text: '[[{"__proto__":1}]]', expect: 'forbidden-key' },
  { id: 'constructor', text: '{"constructor":{"prototype":{"polluted":true}}}', expect: 'forbidden-key' },
  { id: 'prototype', text: '{"prototype":{"polluted":true}}', expect: 'forbidden-key' },
  { id: '__proto__ as a value', text: '{"update":"__proto__"}', expect: 'ok' },
  { id: 'toString and hasOwnProperty', text: '{"toString":1,"hasOwnProperty":2}', expect: 'ok' },
  { id: '33 lists', text: deep('[', ']', 33), expect: 'too-deep' },
  { id: '33 objects', text: `${'{"a":'.repeat(33)}1${'}'.repeat(33)}`, expect: 'too-deep' },
  { id: 'a hundred thousand lists', text: deep('[', ']', 100_000), expect: 'too-deep' },
  { id: 'lists that never end', text: '['.repeat(200_000), expect: 'too-deep' },
  { id: 'brackets inside a string', text: `{"a":"${'['.repeat(1000)}"}`, expect: 'ok' },
  { id: 'too many keys', text: manyKeys(50_001), expect: 'too-many-keys' },
  { id: 'integer above 2^53', text: '{"round":9007199254740993}', expect: 'number-overflow' },
  { id: 'integer below −2^53', text: '[-9007199254740993]', expect: 'number-overflow' },
  { id: 'a thousand digits', text: `[${'9'.repeat(1000)}]`, expect: 'number-overflow' },
  { id: '1e999', text: '{"loss":1e999}', expect: 'number-overflow' },
  { id: '-1e999', text: '{"loss":-1e999}', expect: 'number-overflow' },
  { id: 'a tiny number', text: '{"loss":1e-999}', expect: 'ok' },
  { id: 'NaN', text: '{"loss":NaN}', expect: 'syntax' },
  { id: 'Infinity', text: '{"loss":Infinity}', expect: 'syntax' },
  { id: 'leading zero', text: '[01]', expect: 'syntax' },
  { id: 'hexadecimal', text: '[0x10]', expect: 'syntax' },
  { id: 'comment', text: '{"a":1}// b', expect: 'syntax' },
  { id: 'trailing comma', text: '{"a":1,}', expect: 'syntax' },
  { id: 'two documents', text: '{"a":1}{"a":1}', expect: 'syntax' },
  { id: 'nothing', text: '', expect: 'syntax' },
  { id: 'a byte order mark', text: '\ufeff{"a":1}', expect: 'syntax' },
  { id: 'a NUL between tokens', text: '{"a"\u0000:1}', expect: 'syntax' },
  { id: 'a control character in a string', text: '{"a":"\n"}', expect: 'syntax' },
  { id: 'single quotes', text: "{'a':1}", expect: 'syntax' },
  { id: 'a string that never ends', text: `{"a":"${'x'.repeat(1000)}`, expect: 'syntax' },
  { id: 'half a surrogate pair', text: '{"a":"\\ud800"}', expect: 'ok' },
  { id: 'no object at all', text: '"text"', expect: 'ok' },
];
