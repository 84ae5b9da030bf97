/**
 * Which linear modules LoRA adapts, by PEFT's rules (`tuners_utils.check_target_module_exists`, `get_pattern_key`), so
 * that a configuration selects the same modules in PEFT and here. Knows module names only, no tensors.
 */

import { HeadwaterError } from '../base/errors.ts';
import { nearest } from '../base/suggest.ts';
import type { ModelLayout } from './kind.ts';

export interface TargetRules {
  /** Names or name suffixes; a lone string is `all-linear` or a regular expression over the whole name. */
  readonly targetModules: string | readonly string[];
  readonly excludeModules?: string | readonly string[] | undefined;
  /** Only these layer indices; needs a list of targets. */
  readonly layersToTransform?: number | readonly number[] | undefined;
  /** Name of the list that holds the layers, when it is not the first numbered one. */
  readonly layersPattern?: string | readonly string[] | undefined;
}

const ALL_LINEAR = 'all-linear';

/**
 * The modules of `names` that the rules select, in the given order.
 * Throws OPTION_INVALID when nothing is selected or one listed target matches no module.
 */
export function selectModules(names: readonly string[], rules: TargetRules): string[] {
  const { targetModules } = rules;
  if (typeof targetModules === 'string' && (rules.layersToTransform ?? rules.layersPattern) !== undefined)
    throw new HeadwaterError('OPTION_INVALID', 'layersToTransform needs a list of targetModules', {
      hint: `Write targetModules as a list, or put the layers into the regular expression "${targetModules}".`,
    });
  const listed = typeof targetModules === 'string' ? [] : targetModules;
  for (const target of listed) if (!hasTarget(names, target)) throw unmatched(target, names);
  const selected = names.filter((name) => matches(name, rules));
  if (selected.length === 0) throw unmatched(describeRules(rules), names);
  return selected;
}

/** The rules without listed targets that match nothing, which PEFT accepts in adapter files. */
export function withoutIdleTargets<T extends TargetRules>(names: readonly string[], rules: T): T {
  if (typeof rules.targetModules === 'string') return rules;
  const targetModules = rules.targetModules.filter((target) => hasTarget(names, target));
  return targetModules.length === 0 ? rules : { ...rules, targetModules };
}

/**
 * PEFT adapts embeddings and vocabulary matrices too, by products that Headwater does not compute. Throws OPTION_INVALID when
 * a listed target is the name of such a module.
 */
export function refuseOtherModules(
  targetModules: string | readonly string[],
  { linears, parameters, headModules }: Pick<ModelLayout, 'linears' | 'parameters' | 'headModules'>,
): void {
  if (typeof targetModules === 'string') return;
  const linear = linears.map(({ module }) => module);
  // A head is trained whole, whatever PEFT's all-linear lists.
  const isHead = (name: string) => headModules.some((module) => name.startsWith(`${module}.`));
  const others = [...parameters.keys()]
    .filter((name) => !isHead(name))
    .map((name) => name.replace(/\.[^.]+$/, ''));
  for (const target of targetModules) {
    if (hasTarget(linear, target)) continue;
    const other = others.find((name) => isSuffix(name, target));
    if (other === undefined) continue;
    throw new HeadwaterError(
      'OPTION_INVALID',
      `targetModules "${target}" is ${other}, no linear module of the blocks`,
      {
        hint: `Adapters of embeddings and vocabulary matrices are not computed. modulesToSave: [${target}] trains it whole.`,
      },
    );
  }
}

/** The shortest endings of names that select exactly `selected` among `names`; full names where no endings do. */
export function writtenNames(names: readonly string[], selected: readonly string[]): string[] {
  for (const depth of [1, 2]) {
    const endings = [...new Set(selected.map((name) => name.split('.').slice(-depth).join('.')))];
    const reached = names.filter((name) => endings.some((ending) => isSuffix(name, ending)));
    if (reached.length === selected.length) return endings.sort();
  }
  return [...selected].sort();
}

function hasTarget(names: readonly string[], target: string): boolean {
  return names.some((name) => isSuffix(name, target));
}

function matches(name: string, rules: TargetRules): boolean {
  if (isExcluded(name, rules.excludeModules)) return false;
  const { targetModules } = rules;
  if (typeof targetModules === 'string')
    return targetModules.toLowerCase() === ALL_LINEAR || fullMatch(targetModules, name, 'targetModules');
  if (targetModules.includes(name)) return true;
  return targetModules.some((target) => isSuffix(name, target)) && isInLayers(name, rules);
}

function isSuffix(name: string, target: string): boolean {
  return name === target || name.endsWith(`.${target}`);
}

function isExcluded(name: string, exclude: TargetRules['excludeModules']): boolean {
  if (exclude === undefined || exclude.length === 0) return false;
  if (typeof exclude === 'string') return fullMatch(exclude, name, 'excludeModules');
  return exclude.some((entry) => isSuffix(name, entry));
}

/** The layer index is the first numbered segment (after `layersPattern` when given). */
function isInLayers(name: string, rules: TargetRules): boolean {
  const wanted = rules.layersToTransform;
  if (wanted === undefined || (typeof wanted !== 'number' && wanted.length === 0)) return true;
  const index = layerIndex(name, rules.layersPattern);
  if (index === undefined) return false;
  return typeof wanted === 'number' ? index === wanted : wanted.includes(index);
}

/** Number of the layer that a module name lies in. */
export function layerIndex(name: string, layersPattern: TargetRules['layersPattern']): number | undefined {
  const patterns =
    layersPattern === undefined || layersPattern.length === 0
      ? [String.raw`^.*?\.[^.]*\.(?<idx>\d+)\.`]
      : [layersPattern].flat().map((pattern) => String.raw`^(?:|.*?\.)(?:${pattern})\.(?<idx>\d+)\.`);
  for (const pattern of patterns) {
    const index = compile(pattern, 'layersPattern').exec(name)?.groups?.idx;
    if (index !== undefined) return Number(index);
  }
  return undefined;
}

/** The value of the first pattern that matches the end of `name` at a dot boundary, as PEFT's rank_pattern; else `fallback`. */
export function patternValue(
  patterns: Readonly<Record<string, number>>,
  name: string,
  fallback: number,
): number {
  for (const [pattern, value] of Object.entries(patterns))
    if (compile(String.raw`^(?:.*\.)?(?:${pattern})$`, 'rankPattern or alphaPattern').test(name))
      return value;
  return fallback;
}

/** A lone string is a regular expression over the whole name. Throws OPTION_INVALID where it is none. */
export function fullMatch(pattern: string, name: string, option: string): boolean {
  return compile(`^(?:${pattern})$`, option).test(name);
}

function compile(pattern: string, option: string): RegExp {
  try {
    return new RegExp(pattern);
  } catch (cause) {
    throw new HeadwaterError('OPTION_INVALID', `${option}: "${pattern}" is no regular expression`, { cause });
  }
}

function describeRules(rules: TargetRules): string {
  const target = [rules.targetModules].flat().join(', ');
  const layers =
    rules.layersToTransform === undefined ? '' : ` in layers ${[rules.layersToTransform].flat().join(', ')}`;
  const exclude =
    rules.excludeModules === undefined ? '' : ` without ${[rules.excludeModules].flat().join(', ')}`;
  return `${target}${layers}${exclude}`;
}

function unmatched(target: string, names: readonly string[]): HeadwaterError {
  const suffixes = [...new Set(names.map((name) => name.split('.').at(-1) as string))];
  const near = nearest(target, suffixes);
  const guess = near === undefined ? '' : `Did you mean "${near}"? `;
  return new HeadwaterError(
    'OPTION_INVALID',
    `targetModules "${target}" matches no linear module of this model`,
    { hint: `${guess}Its linear modules end in ${suffixes.join(', ')}; "all-linear" takes them all.` },
  );
}
