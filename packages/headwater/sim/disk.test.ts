import { describe, expect, it } from 'vitest';
import { rng } from '../src/base/random.ts';
import { createDisk } from './disk.ts';
import { beginLife } from './life.ts';
import { createTime } from './virtual-time.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (content: Uint8Array) => new TextDecoder().decode(content);

function setUp(seed = 1) {
  const time = createTime();
  const disk = createDisk(time, rng(seed, 'disk'));
  /** Runs a promise to its end in virtual time. */
  const run = async <T>(promise: Promise<T>): Promise<T> => {
    let settled = false;
    const end = () => {
      settled = true;
    };
    promise.then(end, end);
    await time.run(() => settled, Number.POSITIVE_INFINITY);
    return promise;
  };
  return { time, disk, run, session: disk.session(beginLife('p', 1)) };
}

async function write(
  disk: ReturnType<typeof setUp>['session'],
  path: string,
  content: string,
  synced: boolean,
) {
  const file = await disk.open(path, 'write');
  await file.write(bytes(content), 0);
  if (synced) await file.sync();
  await file.close();
}

/** What is found under the path after a power cut, over many cuts. */
async function afterCuts(
  prepare: (disk: ReturnType<typeof setUp>['session']) => Promise<void>,
  path: string,
) {
  const found = new Set<string>();
  for (let seed = 0; seed < 60; seed++) {
    const { disk, run, session } = setUp(seed);
    await run(prepare(session));
    disk.cutPower();
    const next = disk.session(beginLife('p', 2));
    const stat = await run(next.stat(path));
    found.add(stat === undefined ? 'gone' : text(await run(next.read(path))));
  }
  return found;
}

describe('virtual disk', () => {
  it('reads what was written, appends at the end, truncates', async () => {
    const { run, session } = setUp();
    await run(session.makeFolder('a/b'));
    await run(write(session, 'a/b/f', 'hello', false));
    const file = await run(session.open('a/b/f', 'append'));
    await run(file.write(bytes(' world')));
    expect(text(await run(session.read('a/b/f')))).toBe('hello world');
    await run(session.truncate('a/b/f', 4));
    expect(text(await run(session.read('a/b/f')))).toBe('hell');
    expect(await run(session.list('a'))).toEqual(['b']);
  });

  it('fails as Node does', async () => {
    const { run, session } = setUp();
    await expect(run(session.read('none'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(run(session.open('no/folder', 'write'))).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await run(session.stat('none'))).toBeUndefined();
    expect(await run(session.list('none'))).toEqual([]);
    await run(session.remove('none'));
  });

  it('a power cut loses, keeps or tears what was not synced', async () => {
    const found = await afterCuts(async (disk) => {
      await write(disk, 'f', 'old!', true);
      await disk.syncFolder('');
      await write(disk, 'f', 'new!', false);
    }, 'f');
    expect(found).toContain('old!');
    expect(found).toContain('new!');
    // Torn: the beginning is new.
    expect(found).toContain('ned!');
  });

  it('a power cut loses nothing that was synced with its folder', async () => {
    const found = await afterCuts(async (disk) => {
      await write(disk, 'f', 'kept', true);
      await disk.syncFolder('');
    }, 'f');
    expect([...found]).toEqual(['kept']);
  });

  it('a new file may be gone until its folder was synced', async () => {
    const found = await afterCuts((disk) => write(disk, 'f', 'kept', true), 'f');
    expect([...found].sort()).toEqual(['gone', 'kept']);
  });

  it('a rename shows the old or the new file, never none or both', async () => {
    const found = await afterCuts(async (disk) => {
      await write(disk, 'f', 'old', true);
      await write(disk, 'temp', 'new', true);
      await disk.syncFolder('');
      await disk.rename('temp', 'f');
    }, 'f');
    expect([...found].sort()).toEqual(['new', 'old']);
  });

  it('a file that moves to another folder is never lost', async () => {
    for (let seed = 0; seed < 60; seed++) {
      const { disk, run, session } = setUp(seed);
      const prepare = async () => {
        await session.makeFolder('a');
        await session.makeFolder('b');
        await write(session, 'a/f', 'here', true);
        for (const folder of ['', 'a', 'b']) await session.syncFolder(folder);
        await session.rename('a/f', 'b/f');
        if (seed % 2 === 0) await session.syncFolder('a');
      };
      await run(prepare());
      disk.cutPower();
      const next = disk.session(beginLife('p', 2));
      const places = [await run(next.stat('a/f')), await run(next.stat('b/f'))];
      expect(places.some((place) => place !== undefined)).toBe(true);
    }
  });

  it('a killed process loses nothing that it had written, and hears nothing more', async () => {
    const { disk, run, time } = setUp();
    const life = beginLife('p', 1);
    const session = disk.session(life);
    await run(write(session, 'f', 'there', false));
    let heard = false;
    void session.read('f').then(() => {
      heard = true;
    });
    life.die();
    await time.run(() => false, 1000);
    expect(heard).toBe(false);
    expect(text(await run(disk.session(beginLife('p', 2)).read('f')))).toBe('there');
  });

  it('faults come as errors with the code', async () => {
    const { disk, run, session } = setUp();
    disk.faults = { ...disk.faults, error: (operation) => (operation === 'write' ? 'ENOSPC' : undefined) };
    await expect(run(write(session, 'f', 'x', false))).rejects.toMatchObject({ code: 'ENOSPC' });
  });

  it('looking at what is safe sees only what a power cut leaves at least', async () => {
    const { disk, run, session } = setUp();
    await run(write(session, 'f', 'x', true));
    await expect(disk.look('durable').read('f')).rejects.toMatchObject({ code: 'ENOENT' });
    await run(session.syncFolder(''));
    expect(text(await disk.look('durable').read('f'))).toBe('x');
  });
});
