/**
 * What LoRA and DoRA share: the modules that options select, with rank, scale and names, the factors' initial values, the
 * biases that are trained with them, and how targets are written. Knows no forward pass.
 */

import type { Rng } from '../base/random.ts';
import { type Params, type Tensor, tensor, zeros } from '../base/tensor.ts';
import type { LinearShape } from '../graph/sites.ts';
import type { LowRankUpdate, ModelLayout, TrainableTensor } from './kind.ts';
import type { LoraOptions } from './lora-config.ts';
import {
  patternValue,
  refuseOtherModules,
  selectModules,
  withoutIdleTargets,
  writtenNames,
} from './lora-targets.ts';
import { adaptable, type SavedModules, withoutIdleModules } from './saved-modules.ts';
import type { TrainedParameter } from './trained-parameters.ts';

/** y += scale · x Aᵀ Bᵀ. */
export interface LoraModule {
  readonly module: string;
  readonly shape: LinearShape;
  readonly rank: number;
  readonly scale: number;
  /** [R, D]. */
  readonly a: TrainableTensor;
  /** [E, R]. */
  readonly b: TrainableTensor;
}

/** Throws OPTION_INVALID when a target matches no linear module outside the saved ones. */
export function loraModules(options: LoraOptions, layout: ModelLayout, saved: SavedModules): LoraModule[] {
  refuseOtherModules(options.targetModules, layout);
  const linears = new Map(adaptable(layout, saved).map((linear) => [linear.module, linear]));
  return selectModules([...linears.keys()], options).map((module) => {
    const shape = linears.get(module)!;
    const { inFeatures, outFeatures } = shape;
    const rank = patternValue(options.rankPattern, module, options.rank);
    const alpha = patternValue(options.alphaPattern, module, options.alpha);
    const scale = alpha / (options.useRslora ? Math.sqrt(rank) : rank);
    const prefix = `base_model.model.${module}`;
    const a = { name: `${prefix}.lora_A.weight`, shape: [rank, inFeatures] };
    const b = { name: `${prefix}.lora_B.weight`, shape: [outFeatures, rank] };
    return { module, shape, rank, scale, a, b };
  });
}

/** Options of somebody's adapter without the targets and saved modules that this model does not have. */
export function fittingOptions(options: LoraOptions, layout: ModelLayout): LoraOptions {
  refuseOtherModules(options.targetModules, layout);
  const names = layout.linears.map(({ module }) => module);
  return withoutIdleModules(withoutIdleTargets(names, options), layout);
}

/** Biases by PEFT's names: in its model a target's own bias is below `base_layer`. */
export function trainedBiases(
  which: LoraOptions['bias'],
  layout: ModelLayout,
  modules: readonly LoraModule[],
  saved: SavedModules,
): TrainedParameter[] {
  if (which === 'none') return [];
  const targets = new Set(modules.map(({ module }) => `${module}.bias`));
  const whole = new Set(saved.parameters.map(({ parameter }) => parameter));
  return [...layout.parameters]
    .filter(([name]) => name.endsWith('.bias') && !whole.has(name) && (which === 'all' || targets.has(name)))
    .map(([parameter, shape]) => {
      const stem = parameter.slice(0, -'.bias'.length);
      const inside = targets.has(parameter) ? '.base_layer' : '';
      return { parameter, shape, tensor: `base_model.model.${stem}${inside}.bias` };
    });
}

/** `all-linear` as suffixes when they select the same modules, so that the file reads like everybody else's. */
export function writtenTargets(
  options: LoraOptions,
  layout: ModelLayout,
  saved: SavedModules,
  modules: readonly LoraModule[],
): string | string[] {
  const { targetModules } = options;
  if (typeof targetModules !== 'string') return [...targetModules].sort();
  if (targetModules.toLowerCase() !== 'all-linear') return targetModules;
  return writtenNames(
    adaptable(layout, saved).map(({ module }) => module),
    modules.map(({ module }) => module),
  );
}

/** A ~ U(−1/√D, 1/√D), which is Kaiming-uniform with a = √5; B = 0. Seeded by module name. */
export function initialFactors(modules: readonly LoraModule[], random: Rng): [string, Tensor<'float32'>][] {
  return modules.flatMap(({ module, a, b }): [string, Tensor<'float32'>][] => {
    const stream = random.split(module);
    const [rank, inFeatures] = a.shape as [number, number];
    const bound = 1 / Math.sqrt(inFeatures);
    const values = Float32Array.from({ length: rank * inFeatures }, () => (2 * stream.uniform() - 1) * bound);
    return [
      [a.name, tensor('float32', a.shape, values)],
      [b.name, zeros('float32', b.shape)],
    ];
  });
}

export function lowRankUpdates(modules: readonly LoraModule[], params: Params): LowRankUpdate[] {
  return modules.map(({ module, scale, a, b }) => ({
    module,
    scale,
    a: params.get(a.name)!,
    b: params.get(b.name)!,
  }));
}
