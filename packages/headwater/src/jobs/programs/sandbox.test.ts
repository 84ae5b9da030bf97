import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { passAtK } from '../../training/tasks/pass-at-k.ts';
import { perplexity } from '../../training/tasks/perplexity.ts';
import type { Language, ProgramRun } from '../../training/tasks/program.ts';
import type { EvaluationTask } from '../../training/tasks/task.ts';
import { requireConsent } from './consent.ts';
import { isolation, works } from './isolation.ts';
import { runPrograms } from './sandbox.ts';

const limits = { timeoutMs: 1000, memoryBytes: 2 ** 28, outputBytes: 10_000 };
const canIsolate = (await isolation()) !== undefined;
const hasPython = await works(['python3', '--version']);

async function ran(source: string, language: Language = 'javascript'): Promise<ProgramRun> {
  return (await runPrograms([{ language, source, limits }], 1))[0]!;
}

const tells = (action: string) =>
  `try { ${action}; console.log('open') } catch (error) { console.log(error.code ?? error.message) }`;

describe('JavaScript that a model wrote', () => {
  it('says what it says', async () => {
    expect(await ran(';')).toEqual({ outcome: 'exited', exitCode: 0, stdout: '', stderr: '' });
    expect(await ran('console.assert(1 === 2)')).toMatchObject({ exitCode: 0, stderr: 'Assertion failed\n' });
    const thrown = await ran('throw new Error("no")');
    expect(thrown.exitCode).toBe(1);
    expect(thrown.stderr).toContain('Error: no');
  });

  it('reaches no files, processes, threads or environment', async () => {
    const marker = join(tmpdir(), `headwater-must-not-be-${process.pid}`);
    const source = [
      tells('require("fs").readFileSync("/etc/hosts")'),
      tells(`require("fs").writeFileSync(${JSON.stringify(marker)}, "x")`),
      tells('require("fs").writeFileSync("here", "x")'),
      tells('require("child_process").execSync("true")'),
      tells('new (require("worker_threads").Worker)("1", { eval: true })'),
      'console.log(Object.keys(process.env).filter((key) => !["PATH", "PWD"].includes(key)).length)',
    ].join('\n');
    const { stdout } = await ran(source);
    expect(stdout.trim().split('\n')).toEqual([...new Array(5).fill('ERR_ACCESS_DENIED'), '0']);
    expect(existsSync(marker)).toBe(false);
  });

  it.skipIf(!canIsolate)('reaches no network (skipped where the system has no namespaces)', async () => {
    let asked = 0;
    const server = createServer((_, response) => {
      asked++;
      response.end('hello');
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const url = `http://127.0.0.1:${port}/`;
    const { stdout } = await ran(
      `fetch("${url}").then(() => console.log('open'), () => console.log('closed'))`,
    );
    expect(stdout).toBe('closed\n');
    expect(asked).toBe(0);
    // The address is good: it is the sandbox that has no way there.
    expect(await (await fetch(url)).text()).toBe('hello');
    server.close();
  });

  it('ends when it computes for ever, fills the memory or writes without end', async () => {
    const [loop, lists, buffers, output] = await Promise.all([
      ran('for (;;);'),
      ran('const a = []; for (;;) a.push(new Array(1e6).fill(1.5))'),
      ran('const a = []; for (;;) a.push(Buffer.alloc(1e7, 1))'),
      ran('for (;;) console.log("x".repeat(1000))'),
    ]);
    for (const run of [loop, lists, buffers])
      expect(run.outcome === 'exited' && run.exitCode === 0).toBe(false);
    expect(output.outcome).toBe('output');
    expect(output.stdout.length).toBeLessThanOrEqual(limits.outputBytes);
  });

  it('comes back in the order of the programs', async () => {
    const programs = [3, 1, 2].map((n) => ({
      language: 'javascript' as const,
      source: `console.log(${n})`,
      limits,
    }));
    expect((await runPrograms(programs, 2)).map(({ stdout }) => stdout)).toEqual(['3\n', '1\n', '2\n']);
    expect(await runPrograms([], 2)).toEqual([]);
  });
});

describe.skipIf(!hasPython)('Python that a model wrote (skipped without python3)', () => {
  it('passes when nothing is raised, writes no files and is stopped', async () => {
    const [good, bad, file, loop] = await Promise.all([
      ran('assert 1 == 1\n', 'python'),
      ran('assert 1 == 2\n', 'python'),
      ran('with open("here", "w") as f: f.write("x")\n', 'python'),
      ran('while True: pass\n', 'python'),
    ]);
    expect(good).toMatchObject({ outcome: 'exited', exitCode: 0 });
    expect(bad).toMatchObject({ outcome: 'exited', exitCode: 1 });
    for (const run of [file, loop]) expect(run.outcome === 'exited' && run.exitCode === 0).toBe(false);
  });
});

describe('consent', () => {
  const choice = (language: Language) => ({
    task: passAtK as EvaluationTask<unknown>,
    options: passAtK.options.parse({ language }),
  });

  it('is needed for Python, and is never given on the machines of owners', async () => {
    await expect(requireConsent([choice('python')], 'locked-in')).rejects.toMatchObject({
      code: 'CODE_EXECUTION_REFUSED',
      hint: expect.stringContaining('--allow-code-execution'),
    });
    await expect(requireConsent([choice('javascript')], 'none')).rejects.toThrow(
      /never done on the machines/,
    );
    await requireConsent([choice('javascript')], 'all');
    if (canIsolate) await requireConsent([choice('javascript')], 'locked-in');
    else await expect(requireConsent([choice('javascript')], 'locked-in')).rejects.toThrow(/off the network/);
  });

  it('is not asked for tasks that run nothing', async () => {
    await requireConsent([{ task: perplexity as EvaluationTask<unknown>, options: {} }], 'none');
  });
});
