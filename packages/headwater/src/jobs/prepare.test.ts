import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type SmallRun, smallRun } from '../../test/support/small-run.ts';
import { rng } from '../base/random.ts';
import type { Example } from '../data/types.ts';
import { loadRecipe } from '../recipe/load-node.ts';
import { assignHeldOutOwners } from './held-out-owners.ts';
import { checkDeployable } from './owner-data.ts';
import { type PreparedRun, prepareRun } from './prepare.ts';
import { builtinRegistries } from './records.ts';
import { viewExamples } from './shared-examples.ts';

let small: SmallRun;
beforeAll(() => {
  small = smallRun();
});
afterAll(() => small.remove());

async function prepared(...overrides: string[]): Promise<PreparedRun> {
  const recipe = await loadRecipe(small.recipe, { registries: builtinRegistries, overrides });
  return prepareRun(recipe, builtinRegistries);
}

describe('preparing a run', () => {
  it('gives each owner its examples, in shared memory, and says who holds what', async () => {
    const run = await prepared();
    expect(run.owners.map(({ owner, numExamples }) => [owner, numExamples])).toEqual([
      ['ann', 6],
      ['ben', 7],
      ['cid', 8],
    ]);
    for (const { owner, numTokens } of run.owners) {
      const examples = viewExamples(run.train.get(owner)!);
      expect(examples.reduce((sum, { tokens }) => sum + tokens.length, 0)).toBe(numTokens);
      for (const { tokens, supervised, numTargets } of examples) {
        expect(tokens.buffer).toBeInstanceOf(SharedArrayBuffer);
        expect(supervised).toHaveLength(tokens.length);
        expect(numTargets).toBeGreaterThan(0);
      }
    }
    expect(run.facts.summary.total.numExamples).toBe(21);
    expect(run.facts.heldOut.test).toEqual({ numExamples: 9, available: 9, leftOut: 0, textsCut: 0 });
    expect(run.facts.chance.exactMatch).toBe(1 / 6);
    expect(run.facts.mainMetric).toBe('exactMatch');
  });

  it('samples and splits are stratified, seeded and stated', async () => {
    const sampled = await prepared('evaluation.sampleSize=3');
    expect(sampled.facts.heldOut.test).toEqual({ numExamples: 3, available: 9, leftOut: 0, textsCut: 0 });
    expect(new Set(sampled.heldOut.test?.pieceOwner)).toEqual(new Set(['ann', 'ben', 'cid']));
    expect(
      (await prepared('evaluation.sampleSize=3', 'evaluation.full=true')).heldOut.test?.examples,
    ).toHaveLength(9);
  });

  it('says how tasks asked, without the questions', async () => {
    const [, asked] = (
      await prepared(
        'evaluation.tasks=[{ kind: rouge-l, instruction: "Say it. ", shots: 1, maxNewTokens: 4 }]',
        'data.shots={ files: data/train.csv }',
      )
    ).facts.tasks!;
    expect(asked).toMatchObject({ kind: 'rouge-l', options: { shots: 1, temperature: 0, stemming: true } });
    expect(asked!.prompt).toBe('Say it. cat number 0 says: cat\n\n');
  });

  it('lets the model write on test rows alone, unless asked to do it on validation rows too', async () => {
    const task = 'evaluation.tasks=[{ kind: rouge-l, maxNewTokens: 4 }]';
    const lengths = async (...more: string[]) => {
      const { validation, test } = (await prepared(task, ...more)).heldOut;
      return [validation!.prompts.length, test!.prompts.length];
    };
    expect(await lengths()).toEqual([0, 9]);
    expect(await lengths('evaluation.writeOn=both')).toEqual([9, 9]);
  });

  it('what owners cannot do is refused before a deployment begins', async () => {
    const recipeWith = (...overrides: string[]) =>
      loadRecipe(small.recipe, { registries: builtinRegistries, overrides });
    const refusal = async (override: string) =>
      checkDeployable(await recipeWith(override), builtinRegistries).then(
        () => 'taken',
        ({ code }) => code,
      );
    expect(await refusal('evaluation.tasks=[{ kind: pass-at-k }]')).toBe('CODE_EXECUTION_REFUSED');
    expect(await refusal('data.shots={ files: data/train.csv }')).toBe('RECIPE_INVALID');
    expect(await refusal('simulation.attack={ kind: nan, owners: 1 }')).toBe('RECIPE_INVALID');
    expect(await refusal('federation.robust={ kind: median, byzantine: 1 }')).toBe('taken');
    expect(await refusal('evaluation.tasks=[{ kind: rouge-l }]')).toBe('taken');
    const privacy = 'privacy={ clientLevel: { clip: { norm: 1 }, noiseMultiplier: 1 } }';
    const uniform = await recipeWith(privacy, 'federation.weighting=uniform');
    await expect(checkDeployable(uniform, builtinRegistries)).rejects.toThrow('no delta is given');
  });

  it('changed data change the digest, the same data do not', async () => {
    const [first, second] = [await prepared(), await prepared()];
    expect(first.dataDigest).toBe(second.dataDigest);
    expect((await prepared('data.maxLength=31')).dataDigest).toBe(first.dataDigest);
    expect((await prepared('data.schema.completion="{answer}!"')).dataDigest).not.toBe(first.dataDigest);
    expect((await prepared('partition={"kind":"iid","clients":3}')).dataDigest).not.toBe(first.dataDigest);
  });

  it('nothing to learn from is an error of the data', async () => {
    writeFileSync(join(small.root, 'data', 'empty.csv'), 'owner,prompt,answer\n');
    await expect(prepared('data.train.files=data/empty.csv')).rejects.toMatchObject({ code: 'DATA_INVALID' });
  });
});

describe('owners of held-out examples', () => {
  const rows = (labels: readonly string[], owner?: string): Example[] =>
    labels.map((label, i) => ({
      kind: 'text',
      text: label,
      meta: { where: `t:${i}`, label, ...(owner === undefined ? {} : { owner }) },
    }));

  it('are those that the data name where the partition follows the data', () => {
    const train = [...rows(['x'], 'ann'), ...rows(['y'], 'ben')];
    const partition = new Map([
      ['ann', [0]],
      ['ben', [1]],
    ]);
    const heldOut = rows(['x', 'y'], 'ben');
    expect(assignHeldOutOwners(heldOut, train, partition, rng(1)).map(({ meta }) => meta.owner)).toEqual([
      'ben',
      'ben',
    ]);
  });

  it('otherwise follow the shares in which owners hold each label', () => {
    const train = rows([...Array(30).fill('x'), ...Array(10).fill('x'), ...Array(20).fill('y')]);
    const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
    const partition = new Map([
      ['client-0', range(0, 30)],
      ['client-1', range(30, 60)],
    ]);
    const heldOut = rows([...Array(8).fill('x'), ...Array(4).fill('y'), ...Array(4).fill('unseen')]);
    const assigned = assignHeldOutOwners(heldOut, train, partition, rng(1));
    const count = (owner: string, label: string) =>
      assigned.filter(({ meta }) => meta.owner === owner && meta.label === label).length;
    // 30 : 10 of x, 0 : 20 of y, 30 : 30 examples for what nobody has seen.
    expect([count('client-0', 'x'), count('client-1', 'x')]).toEqual([6, 2]);
    expect([count('client-0', 'y'), count('client-1', 'y')]).toEqual([0, 4]);
    expect([count('client-0', 'unseen'), count('client-1', 'unseen')]).toEqual([2, 2]);
    expect(assigned.map(({ meta }) => meta.where)).toEqual(heldOut.map(({ meta }) => meta.where));
  });
});
