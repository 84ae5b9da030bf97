import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { NO_POSTGRES, type PostgresServer, startPostgres } from '../../test/support/postgres.ts';
import { systemTimers } from '../base/clock.ts';
import { type Params, tensor } from '../base/tensor.ts';
import { aggregateByTree, type TreeParts } from '../coordinator/aggregation/tree.ts';
import { countWorkers } from '../coordinator/aggregation/workers-present.ts';
import { openStorage, type Storage } from '../coordinator/open-storage.ts';
import { plain } from '../federation/compression/none.ts';
import { compressions } from '../federation/compression/registry.ts';
import { planFixedPoint } from '../federation/fixed-point.ts';
import { bindMethod } from '../federation/method.ts';
import { fedavg } from '../federation/methods/fedavg.ts';
import { encodeParams } from '../federation/params.ts';
import { aggregateMembers } from '../jobs/aggregation.ts';

const tensors = [{ name: 'w', shape: [1000] }];
const MAIN = join(import.meta.dirname, '../../bin/headwater.js');

interface Worker {
  readonly process: ChildProcess;
  readonly events: string[];
  /** Until it has logged the event. */
  logged(event: string): Promise<void>;
  readonly ended: Promise<number | null>;
}

function startWorker(options: readonly string[]): Worker {
  const child = spawn(process.execPath, [MAIN, 'worker', ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const events: string[] = [];
  const waiting = new Set<() => void>();
  createInterface({ input: child.stdout! }).on('line', (line) => {
    events.push((JSON.parse(line) as { event: string }).event);
    for (const look of waiting) look();
  });
  const logged = (event: string) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (!events.includes(event)) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
    });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  return { process: child, events, logged, ended };
}

describe.skipIf(NO_POSTGRES !== undefined)(`headwater worker ${NO_POSTGRES ?? ''}`, () => {
  let server: PostgresServer;
  let storage: Storage;
  let options: string[];
  const folder = mkdtempSync(join(tmpdir(), 'headwater-worker-'));
  beforeAll(async () => {
    server = await startPostgres();
    const store = await server.newDatabase();
    const blobs = join(folder, 'blobs');
    options = ['--store', store, '--blobs', blobs];
    storage = await openStorage({ store, blobs });
  });
  afterAll(async () => {
    await storage?.close();
    await server?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  const valued = (value: number): Params =>
    new Map([['w', tensor('float32', [1000], new Float32Array(1000).fill(value))]]);

  async function round(size: number) {
    const { store, blobs } = storage;
    const members = [];
    for (let i = 0; i < size; i++)
      members.push({
        owner: `o${i}`,
        update: await blobs.put(encodeParams(valued(i))),
        aggregationWeight: 1 + i,
      });
    const params = await blobs.put(encodeParams(valued(0.5)));
    const kind = 'aggregate' as const;
    const work = {
      kind,
      id: 'w',
      round: 1,
      params,
      serverState: null,
      members,
      membership: '',
      participation: 1,
    };
    const fixedPoint = planFixedPoint(tensors, { fractionBits: 20, range: 64 });
    const job = { work, fixedPoint, serverLearningRate: 1 };
    const warned: string[] = [];
    const parts: TreeParts = {
      method: bindMethod(fedavg, {}),
      compression: plain,
      compressionChoice: { kind: 'none' },
      compressions,
      tensors,
      blobs,
      store,
      timers: systemTimers,
      log: { info: () => undefined, warn: (event) => void warned.push(event) },
      node: 'test',
      shape: { leafMembers: 2, mergedSums: 2 },
    };
    return { parts, job, warned };
  }

  it('workers aggregate, one may be killed, the others stop at a signal', async () => {
    const workers = [startWorker(options), startWorker(options)];
    const [killed, other] = workers as [Worker, Worker];
    await Promise.all(workers.map((worker) => worker.logged('worker-started')));
    const { parts, job, warned } = await round(12);
    const expected = await aggregateMembers(parts, job);
    expect(await aggregateByTree(parts, job)).toEqual(expected);
    expect(await countWorkers(storage.store)).toBe(2);
    killed.process.kill('SIGKILL');
    await killed.ended;
    const again = await round(11);
    expect(await aggregateByTree(again.parts, again.job)).toEqual(
      await aggregateMembers(again.parts, again.job),
    );
    expect([...warned, ...again.warned]).toEqual([]);
    expect(other.events).toContain('task-done');
    other.process.kill('SIGTERM');
    expect(await other.ended).toBe(0);
    expect(other.events.at(-1)).toBe('worker-stopped');
  });

  it('refuses a folder: there is nothing to share', async () => {
    const child = spawn(process.execPath, [MAIN, 'worker', '--store', folder, '--blobs', folder]);
    let text = '';
    child.stderr.on('data', (piece) => {
      text += piece;
    });
    expect(await new Promise((resolve) => child.once('close', resolve))).toBe(1);
    expect(text).toContain('OPTION_INVALID');
  });
});
