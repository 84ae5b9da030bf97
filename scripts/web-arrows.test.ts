import { expect, test } from 'vitest';
import { importsOf } from './imports.ts';
import { checkWeb } from './web-arrows.ts';

function file(path: string, text: string) {
  return { path, imports: importsOf(path, text) };
}

const house = [
  file('training/engine.ts', "import '../base/tensor.ts';"),
  file('base/tensor.ts', ''),
  file('client/trainer-node.ts', "import 'node:os';"),
  file('jobs/clean.ts', "import type { X } from 'node:fs';\nimport '../base/tensor.ts';"),
  file('jobs/behind.ts', "import './dirty.ts';"),
  file('jobs/dirty.ts', "import { readFile } from 'node:fs/promises';"),
  file('cli/main.ts', ''),
];

const breaches = (path: string, text: string) =>
  checkWeb([file(path, text)], house).map(({ where, what }) => `${where} ${what}`);

test.each([
  ['a clean file', 'engine/a.ts', "import '@headwater/training/engine.ts';"],
  ['a clean file of a Node room', 'client/a.tsx', "import '@headwater/jobs/clean.ts';"],
  ['types of a Node file', 'client/a.tsx', "import type { X } from '@headwater/client/trainer-node.ts';"],
  ['the engine from the client', 'client/a.tsx', "import '../engine/b.ts';"],
])('fine: %s', (_, path, text) => {
  expect(breaches(path, text)).toEqual([]);
});

test.each([
  ['Node itself', 'shared/a.ts', "import 'node:fs';", /^shared\/a\.ts:1 node:fs in a page/],
  ['a Node file', 'client/a.ts', "import '@headwater/client/trainer-node.ts';", /is for Node by its name/],
  ['Node behind a file', 'client/a.ts', "import '@headwater/jobs/behind.ts';", /jobs\/dirty\.ts:1.*node:fs/],
  ['a room for Node', 'dashboard/a.ts', "import '@headwater/cli/main.ts';", /"cli" is not for browsers/],
  ['nothing there', 'client/a.ts', "import '@headwater/base/none.ts';", /is not there/],
  ['the other program', 'dashboard/a.ts', "import '../client/b.ts';", /dashboard must not import client/],
  ['the engine from the dashboard', 'dashboard/a.ts', "import '../engine/b.ts';", /must not import engine/],
  ['upward', 'shared/a.ts', "import '../engine/b.ts';", /shared must not import engine/],
])('refused: %s', (_, path, text, message) => {
  expect(breaches(path, text).join('\n')).toMatch(message);
});
