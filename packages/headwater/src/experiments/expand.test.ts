import { expect, test } from 'vitest';
import { parseOverride } from '../recipe/overrides.ts';
import { expand } from './expand.ts';
import { experimentShape } from './schema.ts';

function expanded(parts: object, extra: readonly string[] = []) {
  return expand(experimentShape.parse({ name: 'x', base: 'b.yaml', ...parts }), extra.map(parseOverride));
}

const texts = (settings: readonly { readonly text: string; readonly value: unknown }[]) =>
  settings.map(({ text, value }) => `${text.split('=')[0]}=${JSON.stringify(value)}`);

test('arms × grid × seeds, seed by seed, the last key of the grid fastest', () => {
  const { cells, arms, issues } = expanded({
    arms: [{ name: 'a' }, { name: 'b', set: { 'federation.rounds': 3 } }],
    grid: { 'tuning.rank': [4, 8], 'federation.method': [{ kind: 'fedprox', mu: 0.1 }] },
    seeds: [7, 9],
    baselines: 'every-arm',
  });
  expect(issues).toEqual([]);
  expect(arms.map(({ name }) => name)).toEqual([
    'a,rank=4,method=fedprox-mu-0.1',
    'a,rank=8,method=fedprox-mu-0.1',
    'b,rank=4,method=fedprox-mu-0.1',
    'b,rank=8,method=fedprox-mu-0.1',
  ]);
  expect(cells.map(({ seed }) => seed)).toEqual([7, 7, 7, 7, 9, 9, 9, 9]);
  expect(texts(cells[3]!.settings)).toEqual([
    'federation.rounds=3',
    'tuning.rank=8',
    'federation.method={"kind":"fedprox","mu":0.1}',
    'seed=7',
  ]);
});

test('the command line comes after what all share and before what an arm sets', () => {
  const { cells } = expanded(
    { set: { 'federation.rounds': 1 }, arms: [{ name: 'a', set: { 'federation.rounds': 3 } }], seeds: [0] },
    ['federation.rounds=2'],
  );
  expect(cells[0]!.settings.filter(({ path }) => path[1] === 'rounds').map(({ value }) => value)).toEqual([
    1, 2, 3,
  ]);
});

test('baselines are trained once unless more are asked for, and an arm may have its own', () => {
  const arms = [{ name: 'a' }, { name: 'b' }, { name: 'c', set: { 'baselines.localOnly': true } }];
  const without = (baselines: string) =>
    expanded({ arms, seeds: [0], baselines }).cells.map(
      ({ settings }) => settings.filter(({ path }) => path[0] === 'baselines').length,
    );
  expect(without('first-arm')).toEqual([0, 1, 2]);
  expect(without('none')).toEqual([1, 1, 2]);
  expect(without('every-arm')).toEqual([0, 0, 1]);
});

test('equal names, equal seeds, paths that are none, seeds as a setting: all told', () => {
  const { issues } = expanded({
    arms: [{ name: 'a' }, { name: 'A', set: { seed: 3, 'x..y': 1 } }],
    seeds: [1, 1],
  });
  expect(issues.map(({ message }) => message).sort()).toEqual([
    '1 comes twice',
    'cannot be set for a cell: give seeds',
    'expected the path of a recipe’s key, such as federation.localSteps',
    'two arms would be called A',
  ]);
});

test('a list or a map in a grid gives a name that a folder can have', () => {
  const { arms } = expanded({ grid: { 'tuning.targetModules': [['q_proj', 'v_proj'], 'all/linear..'] } });
  expect(arms.map(({ name }) => name)).toEqual(['targetModules=q_proj-v_proj', 'targetModules=all-linear..']);
});
