import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { joinClientFiles } from './join-client-files.ts';

test('files of clients become parts with a column that names the client, in the order of their numbers, without empty answers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'headwater-join-'));
  const files = {
    'local_training_10.json': [{ a: 'ten' }],
    'local_training_2.json': [{ a: 'two' }, { a: 'too' }, { a: 'none', output: ' ' }],
    'local_eval_2.json': [{ a: 'check' }],
    'global_test.json': [{ a: 'all' }],
    'notes.txt': 'nothing',
  };
  for (const [name, rows] of Object.entries(files)) writeFileSync(join(folder, name), JSON.stringify(rows));
  expect([...joinClientFiles(folder)].sort()).toEqual([
    ['test', [{ a: 'all', client: 'all' }]],
    [
      'train',
      [
        { a: 'two', client: 'client-2' },
        { a: 'too', client: 'client-2' },
        { a: 'ten', client: 'client-10' },
      ],
    ],
    ['validation', [{ a: 'check', client: 'client-2' }]],
  ]);
  rmSync(folder, { recursive: true });
});
