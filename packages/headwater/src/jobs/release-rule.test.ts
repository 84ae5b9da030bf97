import { expect, it } from 'vitest';
import { loadRecipe } from '../recipe/load-node.ts';
import { builtinRegistries } from './records.ts';
import { releaseRuleOf } from './release-rule.ts';

const REFUSALS = new URL('../../recipes/refusals.yaml', import.meta.url).pathname;

const ruleOf = async (gate: object) => {
  const overrides = [`evaluation.gate=${JSON.stringify(gate)}`];
  const recipe = await loadRecipe(REFUSALS, { registries: builtinRegistries, overrides });
  return releaseRuleOf(recipe, builtinRegistries)?.gate;
};

it('a gate has its absolute bound on the side on which its metric is bad', async () => {
  expect(await ruleOf({ metric: 'refusalRate', minimum: 0.8 })).toEqual({
    ...{ metric: 'refusalRate', maxDrop: 0, higherIsBetter: true, bound: 0.8 },
  });
  expect(await ruleOf({ metric: 'loss', maxDrop: 1, maximum: 2 })).toMatchObject({
    ...{ higherIsBetter: false, bound: 2 },
  });
  expect(await ruleOf({ metric: 'loss' })).not.toHaveProperty('bound');
  await expect(ruleOf({ metric: 'loss', minimum: 1 })).rejects.toThrow('better the lower it is');
  await expect(ruleOf({ metric: 'refusalRate', maximum: 1 })).rejects.toThrow('better the higher it is');
  await expect(ruleOf({ metric: 'refusals' })).rejects.toThrow('no task gives');
});
