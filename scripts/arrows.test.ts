import { expect, test } from 'vitest';
import { checkHouse } from './arrows.ts';
import { importsOf } from './imports.ts';

function file(path: string, text: string) {
  return { path, imports: importsOf(path, text) };
}

const breaches = (...files: ReturnType<typeof file>[]) =>
  checkHouse(files).map(({ where, what }) => `${where} ${what}`);

test('imports are found in every shape, with the line they end on', () => {
  const text = `import a from './a.ts';\nimport type {\n  B,\n} from '../b/b.ts';\nexport * from './c.ts';\nimport './d.ts';\nconst e = await import('./e.ts');\n`;
  expect(importsOf('room/x.ts', text).map(({ target, line, typeOnly }) => [target, line, typeOnly])).toEqual([
    ['room/a.ts', 1, false],
    ['b/b.ts', 4, true],
    ['room/c.ts', 5, false],
    ['room/d.ts', 6, false],
    ['room/e.ts', 7, false],
  ]);
});

test('downward is fine', () => {
  expect(
    breaches(file('cli/a.ts', "import '../base/b.ts';\nimport 'node:fs';"), file('base/b.ts', '')),
  ).toEqual([]);
});

test.each([
  ['upward', 'base/a.ts', "import '../cli/b.ts';", /base must not import cli/],
  [
    'models to tuning',
    'models/a.ts',
    "import type { X } from '../tuning/b.ts';",
    /models must not import tuning/,
  ],
  ['tuning to models', 'tuning/a.ts', "import '../models/b.ts';", /tuning must not import models/],
  ['Node in a browser room', 'graph/a.ts', "\nimport { x } from 'node:fs';", /^graph\/a\.ts:2 node:fs/],
  ['a Node file from a browser file', 'models/a.ts', "import { x } from './b-node.ts';", /needs Node/],
  ['an unknown room', 'attic/a.ts', '', /has no floor/],
])('%s is a breach', (_, path, text, expected) => {
  expect(breaches(file(path, text)).join('\n')).toMatch(expected);
});

test('a cycle is named once, in full', () => {
  const cycle = breaches(
    file('base/a.ts', "import './b.ts';"),
    file('base/b.ts', "import './c.ts';"),
    file('base/c.ts', "import './a.ts';"),
  );
  expect(cycle).toEqual(['base/a.ts import cycle: base/a.ts → base/b.ts → base/c.ts → base/a.ts']);
});
