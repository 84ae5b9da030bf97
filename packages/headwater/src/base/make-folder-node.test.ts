import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeFolder } from './make-folder-node.ts';

test('a folder is made with its parents, twice without harm, and never inside a file or a place that refuses', async () => {
  const root = mkdtempSync(join(tmpdir(), 'headwater-folder-'));
  await makeFolder(join(root, 'a', 'b', 'c'));
  await makeFolder(join(root, 'a', 'b', 'c'));
  expect(existsSync(join(root, 'a', 'b', 'c'))).toBe(true);
  writeFileSync(join(root, 'file'), '');
  await expect(makeFolder(join(root, 'file', 'x'))).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
  rmSync(root, { recursive: true });
});

test.skipIf(!existsSync('/proc/self'))(
  'a file system that answers "no such file" ends in an error, not in a loop',
  async () => {
    await expect(makeFolder('/proc/nowhere/run')).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
  },
);
