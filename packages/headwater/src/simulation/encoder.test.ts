import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { adapterDigest } from '../../test/support/small-run.ts';
import { INTENTS, intentRows, writeTinyEncoder } from '../../test/support/tiny-encoder.ts';
import { builtinRegistries } from '../jobs/records.ts';
import { openCheckpoint } from '../models/checkpoint-node.ts';
import { loadRecipe } from '../recipe/load-node.ts';
import { readAdapterFolder } from '../training/adapter-folder-node.ts';
import { run } from './run.ts';

const OWNERS = ['ann', 'ben', 'cid'];
let root: string;
let recipe: string;
beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'headwater-encoder-run-'));
  await writeTinyEncoder(join(root, 'model'), 'tiny-bert');
  writeFileSync(join(root, 'train.csv'), intentRows(OWNERS, 120, 1));
  writeFileSync(join(root, 'test.csv'), intentRows(OWNERS, 40, 2));
  recipe = join(root, 'recipe.yaml');
  writeFileSync(recipe, JSON.stringify(INTENT_RECIPE));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const INTENT_RECIPE = {
  name: 'intents',
  seed: 1,
  model: 'model',
  data: {
    train: { files: 'train.csv' },
    test: { files: 'test.csv' },
    schema: { kind: 'classification', label: 'intent' },
    ownerColumn: 'owner',
    maxLength: 16,
  },
  tuning: { kind: 'lora', rank: 8, alpha: 16, targetModules: 'all-linear' },
  training: { batchSize: 16, optimizer: { kind: 'adamw', learningRate: 0.01 } },
  federation: { rounds: 16, localSteps: 6, serverLearningRate: 1.5 },
  baselines: { localOnly: false, centralised: false },
  evaluation: { tasks: [{ kind: 'classification' }] },
};

const runTo = (name: string, ...overrides: string[]) => run(recipe, { out: join(root, name), overrides });
/** For what does not depend on learning much. */
const SHORT = ['federation.rounds=2', 'federation.localSteps=1', 'evaluation.sampleSize=12'];

describe('owners of an encoder', { timeout: 120_000 }, () => {
  it('teach it classes that its checkpoint has never heard of', async () => {
    const { results, folder } = await runTo('learnt');
    const accuracy = (arm: 'base' | 'federated') => results[arm].test!.pooled.accuracy!;
    const chance = 1 / INTENTS.length;
    expect(accuracy('base')).toBeLessThan(1.5 * chance);
    expect(accuracy('federated')).toBeGreaterThan(2 * chance);
    const kept = await loadRecipe(join(folder, 'recipe.yaml'), { registries: builtinRegistries });
    expect(kept.labels).toEqual(INTENTS);
  });

  it('get the same bits again, with any number of workers', async () => {
    const one = await runTo('one', ...SHORT, 'workers=1');
    const two = await runTo('two', ...SHORT, 'workers=2');
    expect(adapterDigest(two.folder)).toBe(adapterDigest(one.folder));
  });

  it('get a PEFT adapter with the head inside', async () => {
    const { resultFolder } = await runTo('adapter', ...SHORT, 'data.packing=true');
    const model = await openCheckpoint(join(root, 'model'), { labels: INTENTS });
    const { tuning } = await readAdapterFolder(resultFolder, model.definition);
    expect(tuning.adapterConfig()).toMatchObject({ task_type: 'SEQ_CLS', modules_to_save: ['classifier'] });
    const names = tuning.tensors.map(({ name }) => name);
    expect(names).toContain('base_model.model.classifier.weight');
    expect(names).toContain('base_model.model.bert.pooler.dense.lora_A.weight');
  });

  it('may train it whole, and get a classifier that needs nothing else', async () => {
    const { resultFolder } = await runTo('whole', ...SHORT, 'tuning={"kind":"full"}');
    const { definition } = await openCheckpoint(resultFolder);
    expect(definition.classifier).toMatchObject({ labels: INTENTS, freshModules: [] });
  });

  it('have a recipe to start from', async () => {
    const shipped = fileURLToPath(new URL('../../recipes/intents-distilbert.yaml', import.meta.url));
    const { data, evaluation } = await loadRecipe(shipped, { registries: builtinRegistries });
    expect(data.schema).toEqual({ kind: 'classification', text: '{text}', label: 'intent' });
    expect(evaluation.tasks[0]!.kind).toBe('classification');
  });

  it('are told of a class that the recipe does not name', async () => {
    const named = runTo('unknown', ...SHORT, 'labels=["bank","light","music"]');
    await expect(named).rejects.toMatchObject({
      code: 'DATA_INVALID',
      where: expect.stringMatching(/train\.csv:\d+/),
    });
    await expect(named).rejects.toThrow(/no class "weather"/);
  });

  it('may not ask it for text', async () => {
    const schema = 'data.schema={"kind":"prompt-completion","prompt":"{text}","completion":"{intent}"}';
    const text = runTo('text', ...SHORT, schema, `labels=${JSON.stringify(INTENTS)}`);
    await expect(text).rejects.toThrow(/the model is a classifier/);
  });
});
