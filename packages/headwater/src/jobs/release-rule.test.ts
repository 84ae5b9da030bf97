import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
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
});

it('a gate that cannot be measured is a mistake of the recipe, wherever it is read', async () => {
  await expect(ruleOf({ metric: 'loss', minimum: 1 })).rejects.toThrow('better the lower it is');
  await expect(ruleOf({ metric: 'refusalRate', maximum: 1 })).rejects.toThrow('better the higher it is');
  await expect(ruleOf({ metric: 'refusalrate' })).rejects.toThrow(
    /evaluation\.gate\.metric: .*no task gives it; did you mean "refusalRate"/,
  );
  const set = (...overrides: string[]) =>
    loadRecipe(REFUSALS, {
      registries: builtinRegistries,
      overrides: ['evaluation.gate={metric: rougeL}', ...overrides],
    });
  const tasks = 'evaluation.tasks=[{kind: rouge-l}]';
  await expect(set(tasks)).rejects.toThrow('set evaluation.writeOn: both');
  await expect(set(tasks, 'evaluation.writeOn=both')).resolves.toMatchObject({ name: 'refusals' });
  // Every mistake at once, each at its key.
  const text = readFileSync(REFUSALS, 'utf8')
    .replace(/ {2}validation: .*\n/, '')
    .replace(
      'everyRounds: 2',
      'gate: { metric: loss, minimum: 1 }\ndeployment: { releaseVote: {} }\nunused:',
    );
  const file = join(mkdtempSync(join(tmpdir(), 'headwater-gate-')), 'recipe.yaml');
  writeFileSync(file, text);
  const line = (of: string) => text.slice(0, text.indexOf(of)).split('\n').length;
  const refused = await loadRecipe(file, { registries: builtinRegistries }).then(String, String);
  rmSync(dirname(file), { recursive: true });
  expect(refused).toMatch(
    new RegExp(`:${line('gate:')}:\\d+ +evaluation.gate.minimum: loss is better the lower`),
  );
  expect(refused).toMatch(new RegExp(`:${line('gate:')}:\\d+ +evaluation.gate: needs a validation set`));
  expect(refused).toMatch(
    new RegExp(`:${line('deployment:')}:\\d+ +deployment.releaseVote: needs a validation`),
  );
});
