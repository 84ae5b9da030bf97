/** kill −9 of a real process in the middle of a run, then a restart: the adapter must have the bits of an unbroken run. */

import { spawn } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adapterDigest, fileIn, type SmallRun, smallRun } from '../../test/support/small-run.ts';
import { readEvents, runPaths } from '../runs/run-folder.ts';
import { run } from './run.ts';

let small: SmallRun;
let expected: { readonly adapter: string; readonly metrics: string };

beforeAll(async () => {
  small = smallRun({ workers: 2 });
  const { folder } = await run(small.recipe, { out: small.out('unbroken') });
  expected = { adapter: adapterDigest(folder), metrics: fileIn(folder, 'metrics.jsonl') };
});
afterAll(() => small.remove());

/** Runs the recipe in a process of its own and kills it as soon as its journal has `events` entries. */
function runAndKill(out: string, events: number, resume: boolean): Promise<NodeJS.Signals | null> {
  const driver = join(small.root, 'driver.mjs');
  const options = JSON.stringify({ out, resume });
  writeFileSync(
    driver,
    `import { run } from ${JSON.stringify(new URL('./run.ts', import.meta.url).href)};
     await run(${JSON.stringify(small.recipe)}, ${options});`,
  );
  const child = spawn(process.execPath, [driver], { stdio: 'ignore' });
  return new Promise((resolve, reject) => {
    let over = false;
    // One look after the other: looks that pile up would take the processor from the run.
    const watch = async (): Promise<void> => {
      if (over) return;
      if ((await journalLength(out)) >= events) child.kill('SIGKILL');
      else setTimeout(() => watch().catch(reject), 2);
    };
    child.on('error', reject);
    child.on('exit', (_code, signal) => {
      over = true;
      resolve(signal);
    });
    watch().catch(reject);
  });
}

async function journalLength(out: string): Promise<number> {
  return existsSync(runPaths(out).journal) ? (await readEvents(out)).length : 0;
}

describe('kill −9', () => {
  it('in the middle of rounds, several times, then a restart: the same bits', async () => {
    const out = small.out('killed');
    for (const [events, resume] of [
      [3, false],
      [9, true],
      [15, true],
    ] as const) {
      expect(await runAndKill(out, events, resume)).toBe('SIGKILL');
      expect(existsSync(runPaths(out).adapter)).toBe(false);
    }
    const { results, folder } = await run(small.recipe, { out, resume: true });
    expect(results.timing.restarts).toBe(3);
    expect(adapterDigest(folder)).toBe(expected.adapter);
    expect(fileIn(folder, 'metrics.jsonl')).toBe(expected.metrics);
  });

  it('before the first event is written: the restart begins from nothing', async () => {
    const out = small.out('early');
    expect(await runAndKill(out, 0, false)).toBe('SIGKILL');
    const { folder } = await run(small.recipe, { out, resume: existsSync(runPaths(out).journal) });
    expect(adapterDigest(folder)).toBe(expected.adapter);
  });

  it('a second process is kept out while the first one works', async () => {
    const out = small.out('locked');
    let second: Promise<unknown> | undefined;
    await run(small.recipe, {
      out,
      onProgress: (progress) => {
        if (progress.type === 'opened')
          second = run(small.recipe, { out, resume: true }).catch((error) => error);
      },
    });
    expect(await second).toMatchObject({ code: 'RUN_LOCKED' });
    expect(adapterDigest(out)).toBe(expected.adapter);
  });
});
