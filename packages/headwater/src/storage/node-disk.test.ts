import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { nodeDisk } from './node-disk.ts';

const root = mkdtempSync(join(tmpdir(), 'headwater-disk-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const text = (content: string) => Buffer.from(content);

describe.each(['full', 'none'] as const)('the disk of Node, durability %s', (durability) => {
  const folder = join(root, durability);
  const disk = nodeDisk(folder, { durability });

  it('writes at an offset, appends at the end, and reads what is there', async () => {
    await disk.makeFolder('a/b');
    const file = await disk.open('a/b/x', 'write');
    await file.write(text('cde'), 2);
    await file.write(text('ab'), 0);
    await file.sync();
    expect(Buffer.from(await file.read(1, 100)).toString()).toBe('bcde');
    expect(await file.read(9, 1)).toHaveLength(0);
    await file.close();
    const appended = await disk.open('a/b/x', 'append');
    await appended.write(text('f'));
    await appended.write(text('g'), 0);
    await appended.close();
    expect(Buffer.from(await disk.read('a/b/x')).toString()).toBe('abcdefg');
    await disk.truncate('a/b/x', 3);
    expect(await disk.stat('a/b/x')).toMatchObject({ bytes: 3 });
  });

  it('opening for writing does not cut, for reading does not make', async () => {
    await (await disk.open('kept', 'write')).close();
    await disk.truncate('kept', 5);
    await (await disk.open('kept', 'write')).close();
    expect(await disk.stat('kept')).toMatchObject({ bytes: 5 });
    await expect(disk.open('none', 'read')).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(disk.read('none')).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('renames over what is there, removes, and lists sorted', async () => {
    await disk.makeFolder('l');
    for (const name of ['b', 'a', 'c']) await (await disk.open(`l/${name}`, 'write')).close();
    await disk.truncate('l/a', 7);
    await disk.rename('l/a', 'l/b');
    await disk.remove('l/none');
    await disk.syncFolder('l');
    expect(await disk.list('l')).toEqual(['b', 'c']);
    expect(await disk.stat('l/b')).toMatchObject({ bytes: 7 });
    expect(await disk.stat('l/a')).toBeUndefined();
    expect(await disk.list('none')).toEqual([]);
  });

  it.each(['../x', 'a/../../x', '/etc/passwd', '..', 'a\\..\\x'])('the path %s is refused', async (path) => {
    const outside = readdirSync(root);
    const tries = [
      async () => disk.read(path),
      async () => disk.open(path, 'write'),
      async () => disk.makeFolder(path),
      async () => disk.remove(path),
      async () => disk.rename('kept', path),
    ];
    for (const attempt of tries) await expect(attempt()).rejects.toThrow(/no path below/);
    expect(readdirSync(root)).toEqual(outside);
  });
});
