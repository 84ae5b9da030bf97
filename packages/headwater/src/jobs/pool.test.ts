import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it } from 'vitest';
import { HeadwaterError } from '../base/errors.ts';
import { sent } from '../base/sent-error.ts';
import type { ExportJob } from './jobs.ts';
import { createPool, type Pool } from './pool.ts';

/** A worker that does what the job's `folder` says; `done` answers with the thread's count of jobs so far. */
const SCRIPT = `
  const { parentPort } = require('node:worker_threads');
  let jobs = 0;
  parentPort.on('message', (message) => {
    if (message.type === 'stop') process.exit(0);
    const { id, job } = message;
    jobs += 1;
    const [what, detail] = job.folder.split(' ');
    if (what === 'crash' || (what === 'crash-once' && !new Int32Array(require('node:worker_threads').workerData)[0]++))
      process.exit(7);
    if (what === 'throw') throw new Error('out of luck');
    if (what === 'fail')
      return parentPort.postMessage({ type: 'failed', id, error: { code: 'TRAINING_DIVERGED', message: 'NaN', hint: 'h', where: null, stack: null } });
    if (what === 'steps') for (let step = 1; step <= 3; step++) parentPort.postMessage({ type: 'step', id, report: { step } });
    parentPort.postMessage({ type: 'done', id, result: detail + '#' + jobs });
  });
`;

const job = (folder: string): ExportJob => ({ kind: 'export', params: '', folder });
let pool: Pool | undefined;
afterEach(() => pool?.close());

function open(size: number): Pool {
  const counter = new SharedArrayBuffer(4);
  pool = createPool(size, () => new Worker(SCRIPT, { eval: true, workerData: counter }), { nowMs: () => 0 });
  return pool;
}

describe('worker pool', () => {
  it('gives each job its own result, whatever the number of workers', async () => {
    for (const size of [1, 2, 3]) {
      const opened = open(size);
      const results = await Promise.all(
        ['a', 'b', 'c', 'd', 'e'].map((name) => opened.run(job(`do ${name}`), 0)),
      );
      expect(results.map(({ result }) => String(result).split('#')[0])).toEqual(['a', 'b', 'c', 'd', 'e']);
      await opened.close();
      await opened.close();
    }
  });

  it('starts lower ranks first, equal ranks in order of arrival', async () => {
    const opened = open(1);
    const finished: string[] = [];
    const names: [string, number][] = [
      ['first', 5],
      ['late', 2],
      ['early', 1],
      ['late-too', 2],
      ['zero', 0],
    ];
    await Promise.all(
      names.map(([name, rank]) => opened.run(job(`do ${name}`), rank).then(() => finished.push(name))),
    );
    expect(finished).toEqual(['first', 'zero', 'early', 'late', 'late-too']);
  });

  it('passes steps on before the result', async () => {
    const steps: number[] = [];
    await open(1).run(job('steps x'), 0, ({ step }) => steps.push(step));
    expect(steps).toEqual([1, 2, 3]);
  });

  it('a job’s own error arrives as what it was, and the worker goes on', async () => {
    const opened = open(1);
    const failure = opened.run(job('fail'), 0);
    await expect(failure).rejects.toBeInstanceOf(HeadwaterError);
    await expect(failure).rejects.toMatchObject({ code: 'TRAINING_DIVERGED', message: 'NaN', hint: 'h' });
    expect(await opened.run(job('do x'), 0)).toEqual({ result: 'x#2', tookMs: 0 });
  });

  it('a job whose worker dies once is done by another', async () => {
    expect(await open(2).run(job('crash-once x'), 0)).toMatchObject({ result: 'x#1' });
  });

  it('a job whose worker dies twice is reported, other jobs are not touched', async () => {
    const opened = open(2);
    const others = ['a', 'b', 'c'].map((name) => opened.run(job(`do ${name}`), 1));
    const crash = opened.run(job('crash'), 0);
    const thrown = opened.run(job('throw'), 0);
    // Both are watched from the start: whichever fails first must not go unhandled.
    await Promise.all([
      expect(crash).rejects.toMatchObject({
        code: 'RUNTIME_FAILED',
        message: expect.stringContaining('code 7'),
      }),
      expect(thrown).rejects.toThrow(/died twice.*out of luck/),
    ]);
    expect(await Promise.all(others)).toHaveLength(3);
  });

  it('errors keep code, hint and place on their way out of a worker', () => {
    expect(sent(new HeadwaterError('DATA_INVALID', 'm', { hint: 'h', where: 'w' }), 'a job')).toMatchObject({
      code: 'DATA_INVALID',
      message: 'm',
      hint: 'h',
      where: 'w',
    });
    expect(sent('text', 'a job')).toEqual({
      code: null,
      message: 'text',
      hint: null,
      where: null,
      stack: null,
    });
  });
});
