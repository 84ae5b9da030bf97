import { mkdtempSync, readdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { blobsConformance } from '../../test/support/blobs-conformance.ts';
import { openFileBlobs } from './file-blobs.ts';

const root = mkdtempSync(join(tmpdir(), 'headwater-blobs-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let count = 0;
const newFolder = () => join(root, `blobs-${++count}`);
const abc = new TextEncoder().encode('abc');

let conformance = newFolder();
blobsConformance({
  name: 'files',
  fresh: () => {
    conformance = newFolder();
  },
  open: () => openFileBlobs(conformance),
});

describe('blobs in files', () => {
  it('a damaged blob is found on reading and healed by writing it again', async () => {
    const folder = newFolder();
    const blobs = await openFileBlobs(folder);
    const digest = await blobs.put(abc);
    const file = join(folder, digest.slice(0, 2), digest);
    truncateSync(file, 2);
    await expect(blobs.get(digest)).rejects.toMatchObject({ code: 'RUN_CORRUPT' });
    await blobs.put(abc);
    expect(await blobs.get(digest)).toEqual(Buffer.from(abc));
    writeFileSync(file, 'abd');
    await expect(blobs.get(digest)).rejects.toThrow(/is damaged/);
  });

  it('leftovers of an interrupted write are no blobs', async () => {
    const folder = newFolder();
    const blobs = await openFileBlobs(folder);
    await blobs.put(abc);
    writeFileSync(join(folder, 'tmp-1'), 'half');
    expect(await blobs.list()).toHaveLength(1);
  });

  it('a failed write leaves nothing behind and says STORAGE_FAILED', async () => {
    const folder = newFolder();
    const blobs = await openFileBlobs(folder);
    // A file stands where the shard folder must go: fails for every user, root included.
    writeFileSync(join(folder, 'ba'), '');
    await expect(blobs.put(abc)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    expect(readdirSync(folder)).toEqual(['ba']);
  });

  it('a path through a file is STORAGE_FAILED', async () => {
    const file = newFolder();
    writeFileSync(file, '');
    await expect(openFileBlobs(join(file, 'blobs'))).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
  });
});
