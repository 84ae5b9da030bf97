/** Everything that comes with Headwater can be loaded, and its parts go together, without the data that some must fetch. */

import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadExperiment } from '../experiments/load.ts';
import { bindTuning, builtinRegistries } from '../jobs/records.ts';
import { openModel } from '../models/checkpoint-node.ts';
import { loadRecipe } from '../recipe/load-node.ts';
import { shippedExperiments, shippedRecipes } from '../recipe/shipped-node.ts';
import { estimateRun } from '../runs/estimate.ts';
import { estimateParts } from '../runs/estimate-input.ts';
import { planOf } from '../simulation/begin.ts';

const SMALL_MODEL = join(import.meta.dirname, '../../assets/seed-lm-7m');

/** As many owners as a recipe's data have, or ask for. */
const OWNERS: Readonly<Record<string, number>> = {
  'flexlora-natural-instructions': 622,
  'hospital-consortium': 9,
  medquad: 9,
};

describe.each(shippedRecipes())('$name', ({ name, file, description }) => {
  it('is described, has no mistake, and could start', async () => {
    expect(description).not.toBe('');
    const recipe = await loadRecipe(file, { registries: builtinRegistries });
    expect(recipe.name).toBe(name);
    // The encoder lies on the hub.
    if (recipe.model !== SMALL_MODEL) return;
    const { clients } = recipe.partition as { readonly clients?: number };
    const numOwners = clients ?? OWNERS[name] ?? 10;
    const model = await openModel(recipe.model);
    const { tensors } = bindTuning(recipe, model.definition, builtinRegistries);
    const owners = Array.from({ length: numOwners }, (_, i) => ({
      owner: `client-${i}`,
      numExamples: 100,
      numTokens: 5000,
    }));
    const prepared = { recipe, owners, modelDigest: '', heldOut: {} };
    expect(planOf(prepared, builtinRegistries, { tensors, params: '' }).owners).toHaveLength(numOwners);
    const parts = estimateParts(recipe, builtinRegistries, model);
    const estimate = estimateRun({ ...parts, numOwners, tokensPerExample: 50, tokensAreAtMost: false });
    expect(estimate.client.memory.total).toBeGreaterThan(0);
  });
});

it.each(shippedExperiments())('$name has cells for all of its arms and seeds', async ({ name, file }) => {
  const { experiment, arms, cells } = await loadExperiment(file);
  expect(experiment.name).toBe(name);
  expect(cells).toHaveLength(arms.length * experiment.seeds.length);
});

describe('FlowerTune', () => {
  it.each([
    ['general', 20, 2],
    ['finance', 50, 5],
    ['medical', 20, 2],
    ['code', 10, 2],
  ])('%s has %d owners and asks %d of them', async (challenge, clients, cohortSize) => {
    const { file } = shippedRecipes().find(({ name }) => name === `flowertune-${challenge}`)!;
    const recipe = await loadRecipe(file, { registries: builtinRegistries });
    expect(recipe.partition).toEqual({ kind: 'iid', clients });
    expect(recipe.federation).toMatchObject({ rounds: 200, localSteps: 10, cohortSize });
    const { learningRate } = recipe.training.optimizer;
    expect(learningRate * recipe.training.schedule.minFactor).toBeCloseTo(1e-6, 12);
    // Mistral-7B: 32 layers, q 4096 → 4096 and v 4096 → 1024, as float32, both ways, against the rules' budget in MiB.
    const { rank } = recipe.tuning as unknown as { readonly rank: number };
    const adapterBytes = 4 * 32 * rank * (4096 + 4096 + 4096 + 1024);
    expect((200 * cohortSize * 2 * adapterBytes) / 2 ** 20).toBeLessThan(200_000);
  });
});
