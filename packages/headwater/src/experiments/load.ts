/**
 * An experiment file → the recipe of every cell. All mistakes are reported together, each with file, line and column: those
 * of the experiment at the experiment, those of the base recipe there, those that a setting makes at the setting.
 */

import { dirname, join, resolve } from 'node:path';
import { type Document, LineCounter } from 'yaml';
import { registriesWith } from '../jobs/plugins-node.ts';
import type { RunRegistries } from '../jobs/records.ts';
import { checkRecipe } from '../recipe/check.ts';
import { type Issue, type Path, parseAt, pathText } from '../recipe/issues.ts';
import { mistakesIn, pluginsNamedBy, readRecipeSource } from '../recipe/load-node.ts';
import { applyOverrides, overrideOf, parseOverride } from '../recipe/overrides.ts';
import { withAbsolutePaths } from '../recipe/paths-node.ts';
import { lineText, offsetOf } from '../recipe/positions.ts';
import type { Recipe } from '../recipe/schema.ts';
import { readYaml } from '../recipe/yaml.ts';
import { type ArmPlan, type CellPlan, expand } from './expand.ts';
import { type Experiment, experimentShape } from './schema.ts';

export interface Cell {
  readonly arm: string;
  readonly seed: number;
  /** Below the experiment's folder. */
  readonly folder: string;
  readonly recipe: Recipe;
}

export interface LoadedExperiment {
  readonly experiment: Experiment;
  /** As written. */
  readonly source: string;
  readonly arms: readonly ArmPlan[];
  /** Seed by seed, so that what is stored after some time compares all arms. */
  readonly cells: readonly Cell[];
  readonly registries: RunRegistries;
}

export interface LoadOptions {
  /** `--set` texts, for all cells. */
  readonly overrides?: readonly string[];
  readonly plugins?: readonly string[];
}

/** A YAML file as text, as a tree, and with the lines of its offsets. */
interface YamlFile {
  readonly name: string;
  readonly text: string;
  readonly document: Document;
  readonly lines: LineCounter;
}

/** Throws RECIPE_NOT_FOUND, RECIPE_INVALID, OPTION_INVALID, PLUGIN_INVALID. */
export async function loadExperiment(file: string, options: LoadOptions = {}): Promise<LoadedExperiment> {
  const own = await readFile(file);
  const { value: experiment, issues } = parseAt(experimentShape, own.document.toJS());
  if (experiment === undefined) throw mistakesIn(file, inOrder(issues.map((issue) => placed(issue, own))));
  const expanded = expand(experiment, (options.overrides ?? []).map(parseOverride));
  const baseFile = resolve(dirname(file), experiment.base);
  const base = await readFile(baseFile);
  const plugins = [
    ...(await pluginsNamedBy(baseFile)),
    ...(options.plugins ?? []).map((name) => resolve(name)),
  ];
  const registries = await registriesWith([...new Set(plugins)]);
  const checked = expanded.cells.map((cell) => checkCell(cell, own, base, registries));
  const mistakes = [
    ...expanded.issues.map((issue) => placed(issue, own)),
    ...checked.flatMap(({ mistakes }) => mistakes),
  ];
  if (mistakes.length > 0) throw mistakesIn(file, inOrder(mistakes));
  const cells = checked.map(({ recipe, cell: { arm, seed } }) => ({
    arm,
    seed,
    folder: join('cells', arm, `seed-${seed}`),
    recipe: { ...withAbsolutePaths(recipe!, dirname(baseFile)), plugins: [...new Set(plugins)] },
  }));
  return { experiment, source: own.text, arms: expanded.arms, cells, registries };
}

async function readFile(file: string): Promise<YamlFile> {
  const text = await readRecipeSource(file);
  const lines = new LineCounter();
  const { document, mistakes } = readYaml(text, lines);
  if (mistakes.length === 0) return { name: file, text, document, lines };
  throw mistakesIn(
    file,
    mistakes.map(({ offset, message }) => `${lineText(file, offset, lines)}  ${message}`),
  );
}

/** A mistake and where it stands; `order` sorts the mistakes of one file. */
interface Mistake {
  readonly file: string;
  readonly order: number;
  readonly text: string;
}

function checkCell(
  cell: CellPlan,
  own: YamlFile,
  base: YamlFile,
  registries: RunRegistries,
): { readonly cell: CellPlan; readonly recipe?: Recipe; readonly mistakes: readonly Mistake[] } {
  const document = base.document.clone() as Document;
  applyOverrides(document, cell.settings);
  const { recipe, issues } = checkRecipe(document.toJS(), registries);
  if (recipe !== undefined) return { cell, recipe, mistakes: [] };
  const mistakes = issues.map((issue) => {
    const setting = overrideOf(issue.path, cell.settings);
    if (setting === undefined) return placed(issue, base);
    if (setting.writtenAt === undefined)
      return { file: '', order: 0, text: `--set ${setting.text}  ${pathText(issue.path)}: ${issue.message}` };
    const at = [...setting.writtenAt, ...issue.path.slice(setting.path.length)];
    return placed({ ...issue, path: at }, own, issue.path);
  });
  return { cell, mistakes };
}

/** `shown`: how the mistake's place is called where that is not its path in the file. */
function placed(issue: Issue, { name, document, lines }: YamlFile, shown: Path = issue.path): Mistake {
  const offset = offsetOf(document, issue.path, issue.atKey === true);
  return {
    file: name,
    order: offset ?? 0,
    text: `${lineText(name, offset, lines)}  ${pathText(shown)}: ${issue.message}`,
  };
}

/** Many cells make the same mistake: it is told once. */
function inOrder(mistakes: readonly Mistake[]): string[] {
  const sorted = [...mistakes].sort((a, b) =>
    a.file === b.file ? a.order - b.order : a.file < b.file ? -1 : 1,
  );
  return [...new Set(sorted.map(({ text }) => text))];
}
