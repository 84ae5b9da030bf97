import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { writeFileAtomically } from './atomic-file.ts';
import { acquireRunLock } from './run-lock.ts';

const root = mkdtempSync(join(tmpdir(), 'headwater-atomic-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

it('a file is replaced as a whole, its folder made when needed', async () => {
  const path = join(root, 'deep', 'results.json');
  await writeFileAtomically(path, 'one');
  await writeFileAtomically(path, 'two');
  expect(readFileSync(path, 'utf8')).toBe('two');
  expect(readdirSync(join(root, 'deep'))).toEqual(['results.json']);
});

it('a file that cannot be put in place leaves no temporary file', async () => {
  const path = join(root, 'taken');
  mkdirSync(join(path, 'inside'), { recursive: true });
  await expect(writeFileAtomically(path, 'x')).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
  expect(readdirSync(root).filter((name) => name.includes('tmp-'))).toEqual([]);
});

it('a run lock is held by one, and free again after release', () => {
  const path = join(root, 'run.lock');
  const lock = acquireRunLock(path);
  expect(() => acquireRunLock(path)).toThrow(expect.objectContaining({ code: 'RUN_LOCKED' }));
  lock.release();
  acquireRunLock(path).release();
});

it('a lock in a folder that does not exist is STORAGE_FAILED', () => {
  expect(existsSync(join(root, 'none'))).toBe(false);
  expect(() => acquireRunLock(join(root, 'none', 'run.lock'))).toThrow(
    expect.objectContaining({ code: 'STORAGE_FAILED' }),
  );
  writeFileSync(join(root, 'still-writable'), '');
});
