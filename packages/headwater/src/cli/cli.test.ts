import { existsSync, readdirSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { describe, expect, test } from 'vitest';
import { HeadwaterError } from '../base/errors.ts';
import type { RunEvent, TrainWork } from '../federation/events.ts';
import type { Progress } from '../jobs/progress.ts';
import { builtinRegistries } from '../jobs/records.ts';
import { loadRecipe } from '../recipe/load-node.ts';
import { shippedRecipes } from '../recipe/shipped-node.ts';
import { fail } from './fail.ts';
import { findRecipe } from './find-recipe.ts';
import { progressLines } from './progress-lines.ts';
import { overridesOf } from './run.ts';
import { measureSpeed } from './speed.ts';

describe('errors', () => {
  function printed(error: unknown, verbose = false): { text: string; code: number } {
    let text = '';
    const code = fail(error, { verbose, write: (more) => (text += more) });
    return { text, code };
  }

  test('of the world say code, place and advice, without a stack', () => {
    const { text, code } = printed(
      new HeadwaterError('DATA_INVALID', 'no rows', { where: 'a.csv:3', hint: 'Add rows.' }),
    );
    expect(text).toContain('a.csv:3: no rows\n  Add rows.');
    expect(text).toContain('DATA_INVALID');
    expect(text).not.toContain('    at ');
    expect(code).toBe(1);
  });

  test('of ours ask for a report', () => {
    expect(printed(new Error('broken')).text).toContain('--verbose');
  });

  test('come with their causes when asked', () => {
    const error = new HeadwaterError('RUNTIME_FAILED', 'outer', { cause: new Error('inner') });
    expect(printed(error, true).text).toMatch(/outer[\s\S]*caused by Error: inner/);
  });

  test('a stop by the user has the exit code of shells', () => {
    expect(printed(new HeadwaterError('INTERRUPTED', 'stopped'))).toMatchObject({ code: 130 });
  });
});

describe('recipes that come with Headwater', () => {
  test.each(shippedRecipes().map(({ name, file }) => [name, file]))(
    '%s is valid; its files exist, or it says that they must be fetched',
    async (_, file) => {
      const recipe = await loadRecipe(file, { registries: builtinRegistries });
      const { train, validation, test: tested } = recipe.data;
      const files = [train, validation, tested].flatMap((source) => [source?.files ?? []].flat());
      if (/Data are fetched/.test(recipe.description ?? ''))
        expect(files.filter((path) => existsSync(path))).toEqual([]);
      else for (const path of files) expect(existsSync(path), path).toBe(true);
      if (isAbsolute(recipe.model)) expect(readdirSync(recipe.model)).toContain('model.safetensors');
      expect(recipe.description).toBeTruthy();
    },
  );

  test.each(['quickstart', 'quickstart.yaml', 'recipes/quickstart.yaml'])(
    '%s is found from anywhere',
    (given) => {
      expect(findRecipe(given)).toMatch(/recipes\/quickstart\.yaml$/);
    },
  );

  test('a slip of the fingers is guessed', () => {
    expect(() => findRecipe('quikstart')).toThrow(
      expect.objectContaining({ hint: expect.stringContaining('"quickstart"') }),
    );
    expect(() => findRecipe('/nowhere/quickstart.yaml')).toThrow(/no such file/);
  });
});

test('options that are keys of the recipe win over --set', () => {
  const options = { set: ['device=cuda'], plugin: [], device: 'webgpu', full: true, workers: 2 } as const;
  expect(overridesOf(options)).toEqual(['device=cuda', 'device=webgpu', 'evaluation.full=true', 'workers=2']);
});

describe('speed', () => {
  test('tokens per second count the last seconds only', () => {
    const speed = measureSpeed({ steps: 0, scored: 0 }, 0);
    speed.step(1000, 0);
    for (let ms = 60_000; ms <= 70_000; ms += 1000) speed.step(50, ms);
    expect(speed.tokensPerSecond(70_000)).toBeCloseTo(50);
  });

  test('time left is what remains at the pace so far, resumed work not counted', () => {
    const speed = measureSpeed({ steps: 500, scored: 0 }, 0);
    expect(speed.leftMs({ steps: 500, scored: 0 }, { steps: 1000, scored: 0 }, 9000)).toBeUndefined();
    expect(speed.leftMs({ steps: 600, scored: 0 }, { steps: 1000, scored: 0 }, 10_000)).toBe(40_000);
    expect(speed.share({ steps: 600, scored: 0 }, { steps: 1000, scored: 0 })).toBe(0.6);
  });
});

describe('progress as lines', () => {
  const amounts = { done: { steps: 0, scored: 0 }, total: { steps: 1, scored: 1 } };
  const work = { kind: 'train' } as unknown as TrainWork;
  const done = (event: unknown): Progress => ({
    type: 'work-done',
    work,
    event: event as RunEvent,
    ...amounts,
  });
  const update = (owner: string, meanLoss: number) =>
    done({ type: 'update-received', round: 1, owner, check: { ok: true, l2Norm: 1 }, stats: { meanLoss } });

  test('a closed round tells the mean loss of its clients, the next one begins anew', () => {
    const line = progressLines();
    expect([line(update('a', 1)), line(update('b', 2))]).toEqual([undefined, undefined]);
    expect(line({ type: 'round-closed', round: 1, rounds: 3 })).toBe('round 1/3  training loss 1.500');
    line(update('a', 4));
    expect(line({ type: 'round-closed', round: 2, rounds: 3 })).toBe('round 2/3  training loss 4.000');
  });

  test('what went wrong is said', () => {
    const line = progressLines();
    const refused = {
      type: 'update-received',
      round: 2,
      owner: 'c',
      check: { ok: false, code: 'not-finite', reason: 'NaN' },
      stats: {},
    };
    expect(line(done(refused))).toBe('round 2  update of c refused: NaN');
    expect(line(done({ type: 'arm-failed', arm: 'centralised', reason: 'diverged' }))).toBe(
      'baseline centralised failed: diverged',
    );
  });

  test('scores are shares or numbers, perplexity is left to the report', () => {
    const result = { numExamples: 1, pooled: { loss: 1.2345, perplexity: 3.4, exactMatch: 0.5 }, owners: {} };
    expect(progressLines()({ type: 'validated', round: 4, result })).toBe(
      'round 4  validation: loss 1.234, exact match 50.0 %',
    );
  });
});
