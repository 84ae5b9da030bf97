/**
 * An experiment → its cells: arms × grid × seeds, each with the settings that make it from the base and the place in the file
 * where each setting is written. Pure; it knows no recipe.
 */

import { type Issue, type Path, pathText } from '../recipe/issues.ts';
import { type Override, pathFromText } from '../recipe/overrides.ts';
import type { Experiment } from './schema.ts';

/** A setting, and where in the experiment file it stands. */
export interface Setting extends Override {
  /** Undefined: no text of the file, but of the command line or made here. */
  readonly writtenAt: Path | undefined;
}

export interface ArmPlan {
  /** Also the name of its folder. */
  readonly name: string;
  readonly settings: readonly Setting[];
}

export interface CellPlan {
  readonly arm: string;
  readonly seed: number;
  readonly settings: readonly Setting[];
}

export interface Expanded {
  readonly arms: readonly ArmPlan[];
  readonly cells: readonly CellPlan[];
  readonly issues: readonly Issue[];
}

/** `extra`: settings of the command line, for all cells; what an arm sets wins. */
export function expand(experiment: Experiment, extra: readonly Override[] = []): Expanded {
  const issues: Issue[] = [];
  const common = [
    ...settingsIn(experiment.set, ['set'], issues),
    ...extra.map((override): Setting => ({ ...override, writtenAt: undefined })),
  ];
  const named = armsOf(experiment, issues);
  const points = gridPoints(experiment.grid ?? {}, issues);
  const arms = named.flatMap((arm) =>
    points.map((point) => ({
      name: [arm.name, point.name].filter((part) => part !== '').join(','),
      settings: [...arm.settings, ...point.settings],
    })),
  );
  issues.push(...doubles(arms, experiment));
  const cells = experiment.seeds.flatMap((seed) =>
    arms.map((arm, i) => ({
      arm: arm.name,
      seed,
      settings: [...common, ...baselineSettings(experiment, i), ...arm.settings, seedSetting(seed)],
    })),
  );
  return { arms, cells, issues };
}

function armsOf({ arms, grid }: Experiment, issues: Issue[]): ArmPlan[] {
  if (arms === undefined) return [{ name: grid === undefined ? 'base' : '', settings: [] }];
  return arms.map(({ name, set }, i) => ({ name, settings: settingsIn(set, ['arms', i, 'set'], issues) }));
}

/** The combinations of all values, the last key moving fastest. */
function gridPoints(grid: NonNullable<Experiment['grid']>, issues: Issue[]): ArmPlan[] {
  let points: ArmPlan[] = [{ name: '', settings: [] }];
  for (const [key, values] of Object.entries(grid)) {
    const choices = values.map((value, i) => {
      const writtenAt = ['grid', key, i];
      return {
        name: `${shortKey(key)}=${valueName(value)}`,
        settings: settingOf(key, value, writtenAt, issues),
      };
    });
    points = points.flatMap((point) =>
      choices.map((choice) => ({
        name: [point.name, choice.name].filter((part) => part !== '').join(','),
        settings: [...point.settings, ...choice.settings],
      })),
    );
  }
  return points;
}

function settingsIn(set: Readonly<Record<string, unknown>>, at: Path, issues: Issue[]): Setting[] {
  return Object.entries(set).flatMap(([key, value]) => settingOf(key, value, [...at, key], issues));
}

function settingOf(key: string, value: unknown, writtenAt: Path, issues: Issue[]): Setting[] {
  const path = pathFromText(key);
  if (path === undefined) {
    issues.push({
      path: writtenAt,
      message: 'expected the path of a recipe’s key, such as federation.localSteps',
    });
    return [];
  }
  if (path[0] === 'seed' || path[0] === 'plugins') {
    const instead = path[0] === 'seed' ? 'give seeds' : 'name plug-ins in the base recipe or with --plugin';
    issues.push({ path: writtenAt, message: `cannot be set for a cell: ${instead}`, atKey: true });
    return [];
  }
  return [{ text: key, path, value, writtenAt }];
}

function seedSetting(seed: number): Setting {
  return { text: 'seed', path: ['seed'], value: seed, writtenAt: ['seeds'] };
}

const NO_BASELINES = { localOnly: false, centralised: false };

/** An arm's own `baselines` come after it and win. */
function baselineSettings({ baselines }: Experiment, arm: number): Setting[] {
  if (baselines === 'every-arm' || (baselines === 'first-arm' && arm === 0)) return [];
  return [{ text: 'baselines', path: ['baselines'], value: NO_BASELINES, writtenAt: ['baselines'] }];
}

/** `federation.localSteps` → `localSteps`; `federation.method` stays short as well. */
function shortKey(key: string): string {
  return key.split('.').at(-1) ?? key;
}

/** A record by its kind and options; what a file name does not take becomes a dash. */
function valueName(value: unknown): string {
  return textOf(value)
    .replaceAll(/[^A-Za-z0-9._=+-]+/g, '-')
    .replaceAll(/^-+|-+$/g, '');
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.map(textOf).join('-');
  if (value === null || typeof value !== 'object') return String(value);
  return Object.entries(value)
    .map(([key, item]) => (key === 'kind' ? textOf(item) : `${key}-${textOf(item)}`))
    .join('-');
}

function doubles(arms: readonly ArmPlan[], experiment: Experiment): Issue[] {
  const names = arms.map(({ name }) => name.toLowerCase());
  const again = arms.filter((_, i) => names.indexOf(names[i]!) < i).map(({ name }) => name);
  const seeds = experiment.seeds.filter((seed, i) => experiment.seeds.indexOf(seed) < i);
  const long = arms.filter(({ name }) => name.length > 120);
  return [
    ...(again.length === 0
      ? []
      : [
          {
            path: experiment.arms === undefined ? ['grid'] : ['arms'],
            message: `two arms would be called ${again.join(', ')}`,
          },
        ]),
    ...(seeds.length === 0 ? [] : [{ path: ['seeds'], message: `${seeds.join(', ')} comes twice` }]),
    ...(long.length === 0
      ? []
      : [
          {
            path: ['grid'],
            message: `${pathText(['grid'])} makes names longer than 120 letters: write arms with names instead`,
          },
        ]),
  ];
}
