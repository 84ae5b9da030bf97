import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { HeadwaterError } from '../base/errors.ts';
import { loadRecipe, pluginsNamedBy, recipeFromText } from './load-node.ts';
import { deploymentSizes, minOwnersOf } from './pace.ts';
import { withPlugins } from './plugins-node.ts';
import type { RecipeRecord, Registries } from './registries.ts';
import { recipeToYaml } from './write.ts';

function records(...list: [string, z.ZodType][]): ReadonlyMap<string, RecipeRecord> {
  return new Map(list.map(([id, options]) => [id, { id, summary: id, options }]));
}

const none = z.strictObject({});
const registries: Registries = {
  methods: records(['fedavg', none]),
  compressions: records(['none', none]),
  selections: records(['uniform', none]),
  robustRules: records([
    'median',
    z.strictObject({ preAggregation: z.array(z.looseObject({})).default([]) }),
  ]),
  preAggregations: records(['nnm', none]),
  attacks: records(['sign-flip', none]),
  // Not strict on purpose: unknown options must be mistakes all the same.
  tuningKinds: records(['lora', z.object({ rank: z.int().positive(), alpha: z.number().default(16) })]),
  objectives: records(['language-modelling', none]),
  tasks: records(['exact-match', none], ['perplexity', none]),
  partitioners: records(
    ['natural', none],
    ['dirichlet', z.strictObject({ concentration: z.number().positive() })],
  ),
  schemas: records(['prompt-completion', none]),
};

const GOOD = `name: small
model: some/model
data:
  train: { files: train.jsonl }
  schema: { kind: prompt-completion }
tuning: { kind: lora, rank: 8 }
training:
  batchSize: 8
  optimizer: { learningRate: 2e-3 }
federation: { rounds: 2, localSteps: 3 }
evaluation:
  tasks: [{ kind: exact-match }]
`;

const ELEVEN_MISTAKES = `name: My Run
sede: 3
model: 7
data:
  train: { files: [] }
  schema: { kind: promt-completion }
  max_length: 64
tuning:
  kind: lora
  rank: 0
training:
  batchSize: 8
  microBatchSize: 3
  optimizer: { kind: adam, learningRate: 2e-3 }
federation: { rounds: 1.5, localSteps: 3, cohortSize: 4, quorum: 5 }
evaluation:
  tasks: [{ kind: exact-match }]
`;

function mistakesOf(text: string, overrides: string[] = []): string[] {
  try {
    recipeFromText(text, { registries, overrides, displayName: 'r.yaml' });
  } catch (error) {
    if (error instanceof HeadwaterError) return error.message.split('\n').map((line) => line.trim());
    throw error;
  }
  return [];
}

describe('the version of the format', () => {
  test('is 1 when nothing is said; another one is a mistake of its own', () => {
    expect(recipeFromText(GOOD, { registries }).version).toBe(1);
    expect(mistakesOf(`version: 2\n${GOOD}`)).toEqual([
      '1 mistake',
      'r.yaml:1:10  version: expected 1, got 2',
    ]);
  });
});

describe('a good recipe', () => {
  test('gets its defaults, those of its records included', () => {
    const recipe = recipeFromText(GOOD, { registries });
    expect(recipe.tuning).toEqual({ kind: 'lora', rank: 8, alpha: 16 });
    expect(recipe.partition).toEqual({ kind: 'natural' });
    expect(recipe.training.schedule.kind).toBe('constant');
  });

  test('written back and read again is the same recipe', () => {
    const recipe = recipeFromText(GOOD, { registries, overrides: ['seed=7', 'training.maxGradNorm=1'] });
    expect(recipeFromText(recipeToYaml(recipe), { registries })).toEqual(recipe);
  });

  test('has absolute paths, hub ids excepted', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'headwater-recipe-'));
    await writeFile(join(folder, 'r.yaml'), GOOD);
    const recipe = await loadRecipe(join(folder, 'r.yaml'), { registries });
    expect(recipe.data.train.files).toEqual([join(folder, 'train.jsonl')]);
    expect(recipe.model).toBe('some/model');
    const local = await loadRecipe(join(folder, 'r.yaml'), { registries, overrides: ['model=../m'] });
    expect(local.model).toBe(resolve(folder, '../m'));
  });
});

describe('mistakes', () => {
  test('all are reported together, each with line, expected, got and guess', () => {
    expect(mistakesOf(ELEVEN_MISTAKES)).toEqual([
      '11 mistakes',
      'r.yaml:1:7  name: expected a string (lower-case letters, digits and dashes), got "My Run"',
      'r.yaml:2:1  sede: unknown key; did you mean "seed"?',
      'r.yaml:3:8  model: expected a string, got 7',
      'r.yaml:5:12  data.train.files: expected a string or a list of at least 1, each a string, got an empty list',
      'r.yaml:6:19  data.schema.kind: unknown data schema "promt-completion"; did you mean "prompt-completion"?',
      'r.yaml:7:3  data.max_length: unknown key; did you mean "maxLength"?',
      'r.yaml:10:9  tuning.rank: expected a whole number > 0, got 0',
      'r.yaml:13:19  training.microBatchSize: expected a divisor of batchSize (8), got 3: gradients are accumulated over batchSize / microBatchSize passes',
      'r.yaml:14:22  training.optimizer.kind: expected one of adamw, sgd, got "adam"',
      'r.yaml:15:23  federation.rounds: expected a whole number > 0, got 1.5',
      'r.yaml:15:66  federation.quorum: expected at most cohortSize (4), got 5',
    ]);
  });

  test('of an override name the override', () => {
    expect(mistakesOf(GOOD, ['training.batchSize=x', 'seed.deep=1'])).toEqual([
      '2 mistakes',
      '--set training.batchSize=x  training.batchSize: expected a whole number > 0, got "x"',
      '--set seed.deep=1  seed: expected a whole number ≥ 0, got a map (keys: deep)',
    ]);
  });

  test('in record options that are misspelt are not dropped silently', () => {
    expect(mistakesOf(GOOD.replace('rank: 8', 'rank: 8, alfa: 3'))).toEqual([
      '1 mistake',
      'r.yaml:6:32  tuning.alfa: unknown key; did you mean "alpha"?',
    ]);
  });

  test('of syntax carry their line', () => {
    expect(mistakesOf('name: [1\nseed: 2\n')[1]).toMatch(/^r\.yaml:2:\d+ /);
  });

  test('an empty file is one mistake, not a crash', () => {
    expect(mistakesOf('')[0]).toBe('1 mistake');
  });

  test.each([
    [
      'earlyStopping without validation',
      'federation.earlyStopping={patienceRounds: 2}',
      /needs a validation set/,
    ],
    [
      'fractions that leave no training rows',
      'data={train: {files: a}, schema: {kind: prompt-completion}, testFraction: 0.6, validationFraction: 0.5}',
      /nothing is left/,
    ],
    [
      'two ways to name owners',
      'data={train: {files: a}, schema: {kind: prompt-completion}, ownerColumn: o, ownerByFile: true}',
      /excludes data.ownerColumn/,
    ],
    ['momentum for adamw', 'training.optimizer.momentum=0.9', /is for sgd/],
  ])('%s', (_, override, expected) => {
    expect(mistakesOf(GOOD, [override]).join('\n')).toMatch(expected);
  });

  test('any text gives a recipe or a RECIPE_INVALID, never another error', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.nat(GOOD.length), (noise, at) => {
        mistakesOf(GOOD.slice(0, at) + noise + GOOD.slice(at));
      }),
      { numRuns: 300, seed: 1 },
    );
  });
});

describe('overrides', () => {
  test.each(['batchSize', '=3', 'a..b=3'])('%s is refused with an example', (text) => {
    expect(() => recipeFromText(GOOD, { registries, overrides: [text] })).toThrow(/expected path=value/);
  });

  test('take YAML values and list indices, the last one wins', () => {
    const recipe = recipeFromText(GOOD, {
      registries,
      overrides: ['evaluation.tasks[0].kind=perplexity', 'baselines={localOnly: false}', 'seed=1', 'seed=2'],
    });
    expect(recipe.evaluation.tasks).toEqual([{ kind: 'perplexity' }]);
    expect(recipe.baselines).toEqual({ localOnly: false, centralised: true });
    expect(recipe.seed).toBe(2);
  });
});

describe('a deployment', () => {
  test('has defaults: synchronous, nothing compressed, everybody with a token, an hour', () => {
    const { federation, deployment } = recipeFromText(GOOD, { registries });
    expect(federation).toMatchObject({
      mode: { kind: 'synchronous' },
      overSelection: 1,
      compression: { kind: 'none' },
    });
    expect(deployment).toEqual({
      deadlineSeconds: 3600,
      evaluationDeadlineSeconds: 1800,
      quarantineAfter: 3,
    });
  });

  test.each([
    ['federation.mode={kind: buffered}', /mode.bufferSize: is required in buffered mode/],
    ['federation.mode={bufferSize: 3}', /mode.bufferSize: is for mode.kind: buffered/],
    ['federation.mode={kind: sometimes}', /expected one of synchronous, buffered, got "sometimes"/],
    ['federation.overSelection=0.5', /expected a number ≥ 1, got 0.5/],
    ['deployment.owners=[ann, Ben]', /deployment.owners\[1\]/],
    ['deployment.owners=[ann, ann]', /a name comes twice/],
    ['deployment={minOwners: 3, owners: [ann]}', /names 1 owners, but the run waits for 3/],
    ['deployment.owners=[a..b]', /deployment.owners/],
    ['federation.compression={kind: zip}', /unknown update compression "zip"/],
  ])('%s is a mistake', (override, message) => {
    expect(mistakesOf(GOOD, [override]).join()).toMatch(message);
  });

  test('numbers of owners must fit together', () => {
    const overrides = ['federation.cohortSize=4', 'deployment.minOwners=2'];
    expect(mistakesOf(GOOD, overrides).join()).toMatch(
      /minOwners: expected at least federation.cohortSize \(4\), got 2/,
    );
    const buffered = [
      'federation.mode={kind: buffered, bufferSize: 3}',
      'federation.overSelection=1.5',
      'federation.quorum=4',
    ];
    const mistakes = mistakesOf(GOOD, buffered).join();
    expect(mistakes).toMatch(/quorum: expected at most bufferSize \(3\), got 4/);
    expect(mistakes).toMatch(/overSelection: is for synchronous rounds/);
  });

  test('what is asked, counted and waited for follows from it', () => {
    const sizesOf = (overrides: string[], numOwners = 10) =>
      deploymentSizes(recipeFromText(GOOD, { registries, overrides }), numOwners);
    expect(sizesOf([])).toMatchObject({
      cohortSize: 10,
      quorum: 10,
      pace: { asked: 10, mode: 'synchronous' },
    });
    expect(
      sizesOf(['federation.cohortSize=10', 'federation.overSelection=1.1', 'federation.quorum=6']),
    ).toMatchObject({
      cohortSize: 10,
      quorum: 6,
      pace: {
        asked: 11,
        belowQuorum: 'extend',
        deadlineMs: 3_600_000,
        maxStaleness: 0,
        evaluatedBy: 'owners',
      },
    });
    const buffered = ['federation.cohortSize=8', 'federation.mode={kind: buffered, bufferSize: 3}'];
    expect(sizesOf(buffered)).toMatchObject({
      cohortSize: 3,
      quorum: 3,
      pace: { mode: 'buffered', asked: 8, maxStaleness: 10, stalenessExponent: 0.5 },
    });
    const least = (overrides: string[]) => minOwnersOf(recipeFromText(GOOD, { registries, overrides }));
    expect(least([])).toBe(2);
    expect(least(buffered)).toBe(3);
    expect(least(['federation.quorum=5'])).toBe(5);
    expect(least(['deployment.owners=[a, b, c, d]'])).toBe(4);
    expect(least(['deployment={minOwners: 3, owners: [a, b, c, d]}'])).toBe(3);
  });
});

describe('plug-ins', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'headwater-plugin-'));
  });

  async function plugin(source: string): Promise<string> {
    const file = join(folder, 'mine.ts');
    await writeFile(file, source);
    return file;
  }

  test('join the registries, zod lent to them', async () => {
    const file = await plugin(`import { z } from 'zod';
      export const methods: unknown[] = [{ id: 'mine', summary: 's', options: z.object({ mu: z.number() }) }];`);
    const joined = await withPlugins(registries, [file]);
    const recipe = recipeFromText(GOOD, {
      registries: joined,
      overrides: ['federation.method={kind: mine, mu: 0.1}'],
    });
    expect(recipe.federation.method).toEqual({ kind: 'mine', mu: 0.1 });
    expect(registries.methods.has('mine')).toBe(false);
  });

  test('are found in the recipe that names them', async () => {
    const file = join(folder, 'r.yaml');
    await writeFile(file, `${GOOD}plugins: [./mine.ts]\n`);
    expect(await pluginsNamedBy(file)).toEqual([join(folder, 'mine.ts')]);
  });

  test.each([
    ['no known export', 'export const method = [];', /did you mean "methods"/],
    ['no list', 'export const methods = {};', /expected a list/],
    ['no schema', "export const methods = [{ id: 'a', summary: 's' }];", /options must be a zod 4 schema/],
    ['a syntax error', 'export const = 3;', /does not load/],
    [
      'a way to choose owners',
      'export const selections = []; export const methods = [];',
      /readable without plug-ins/,
    ],
    [
      'a taken id',
      "import { z } from 'zod'; export const methods = [{ id: 'fedavg', summary: 's', options: z.object({}) }];",
      /taken/,
    ],
  ])('%s is PLUGIN_INVALID', async (_, source, message) => {
    await expect(withPlugins(registries, [await plugin(source)])).rejects.toThrow(message);
  });
});
