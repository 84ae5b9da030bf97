/** Twenty hostile YAML documents; a recipe or a policy made of them must be a readable mistake. Large ones are made. */

export interface HostileYaml {
  readonly id: string;
  readonly text: string;
}

/** Nine levels of nine aliases each: 387 million nodes when expanded. */
const laughs = (list: (level: number) => string) =>
  Array.from({ length: 10 }, (_, level) => `a${level}: &a${level} ${list(level)}`).join('\n');

export const yamlCorpus: readonly HostileYaml[] = [
  {
    id: 'billion laughs, lists',
    text: laughs((n) => (n === 0 ? '[x]' : `[${`*a${n - 1},`.repeat(9).slice(0, -1)}]`)),
  },
  {
    id: 'billion laughs, maps',
    text: laughs((n) =>
      n === 0 ? '{x: 1}' : `{${Array.from({ length: 9 }, (_, i) => `k${i}: *a${n - 1}`).join(', ')}}`,
    ),
  },
  { id: 'quadratic aliases', text: `a: &a [${'x,'.repeat(2000)}x]\nb: [${'*a,'.repeat(2000)}*a]` },
  { id: 'an alias of itself', text: 'name: &a [*a]' },
  { id: 'an alias of nothing', text: 'name: *nobody' },
  { id: 'merge key', text: 'base: &b { polluted: true }\nname:\n  <<: *b' },
  { id: 'merge key with __proto__', text: '<<: { __proto__: { polluted: true } }' },
  { id: '__proto__ as a key', text: '__proto__: { polluted: true }\nname: x' },
  { id: 'constructor.prototype', text: 'constructor: { prototype: { polluted: true } }' },
  { id: '__proto__ inside a record', text: 'tuning: { kind: lora, __proto__: { polluted: true } }' },
  { id: 'duplicate key', text: 'name: a\nname: b' },
  { id: 'JavaScript function tag', text: 'name: !!js/function "function () { return 1 }"' },
  { id: 'Python object tag', text: 'name: !!python/object/apply:os.system ["true"]' },
  { id: 'local tag and binary', text: 'name: !include /etc/passwd\nmodel: !!binary "%%%"' },
  { id: 'tabs as indentation', text: 'data:\n\ttrain:\n\t\tfiles: x' },
  { id: 'ten thousand levels of lists', text: `name: ${'['.repeat(10_000)}` },
  { id: 'ten thousand levels of block lists', text: `name:\n  ${'- '.repeat(10_000)}x` },
  { id: 'several documents', text: 'name: a\n---\nname: b' },
  { id: 'a map as a key', text: '? { a: 1 }\n: name\n? [1, 2]\n: x' },
  { id: 'control characters', text: 'name: "a\u0000b\u001b[31m"\nmodel: \u0007' },
];
