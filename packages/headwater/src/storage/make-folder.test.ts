import { existsSync } from 'node:fs';
import { mkdtemp, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeFolder } from './make-folder.ts';

test('parents are made, an existing folder is fine', async () => {
  const folder = join(await mkdtemp(join(tmpdir(), 'headwater-folder-')), 'a/b/c');
  await makeFolder(folder);
  await makeFolder(folder);
  expect((await stat(folder)).isDirectory()).toBe(true);
});

test('a file on the way is an error with its path', async () => {
  const file = join(await mkdtemp(join(tmpdir(), 'headwater-folder-')), 'file');
  await writeFile(file, '');
  await expect(makeFolder(join(file, 'below'))).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
});

test.skipIf(!existsSync('/proc/self'))(
  'a parent that takes no children ends in an error, not in a loop',
  async () => {
    await expect(makeFolder('/proc/headwater/run')).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
  },
);
