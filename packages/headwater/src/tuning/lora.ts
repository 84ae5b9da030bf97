/**
 * LoRA (Hu et al. 2021, arXiv:2106.09685) and rsLoRA (Kalajdzievski 2023, arXiv:2312.03732):
 * y = x Wᵀ + b + s · dropout(x) Aᵀ Bᵀ with A [R, D], B [E, R], s = alpha / R, or alpha / √R with rsLoRA.
 * Names, initial values and dropout are PEFT's. Knows sites by name, no architecture.
 */

import { assert } from '../base/errors.ts';
import type { Rng } from '../base/random.ts';
import { type Params, type Tensor, tensor, zeros } from '../base/tensor.ts';
import type { Graph, Value } from '../graph/ir.ts';
import { add, cast, matmul, mul } from '../graph/ops/index.ts';
import type { Sites } from '../graph/sites.ts';
import type { BoundTuning, DropoutSite, LowRankUpdate, ModelLayout, TuningKind, Wrapped } from './kind.ts';
import { fromPeftConfig, type LoraOptions, loraOptions, toPeftConfig } from './lora-config.ts';
import { patternValue, selectModules, withoutIdleTargets } from './lora-targets.ts';
import { mergedLowRank } from './low-rank.ts';

interface LoraModule {
  readonly module: string;
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly rank: number;
  /** s in the formula. */
  readonly scale: number;
  readonly nameA: string;
  readonly nameB: string;
}

export const lora: TuningKind<LoraOptions> = {
  id: 'lora',
  summary: 'low-rank updates of linear modules (LoRA, rsLoRA), in PEFT format',
  options: loraOptions,
  bind: bindLora,
  fromAdapterConfig: (config) => (config.peft_type === 'LORA' ? fromPeftConfig(config) : undefined),
  bindAdapter: (options, layout) =>
    bindLora(
      withoutIdleTargets(
        layout.linears.map(({ module }) => module),
        options,
      ),
      layout,
    ),
};

function bindLora(options: LoraOptions, layout: ModelLayout): BoundTuning {
  const modules = loraModules(options, layout);
  const byName = new Map(modules.map((module) => [module.module, module]));
  const tensors = modules
    .flatMap((m) => [
      { name: m.nameA, shape: [m.rank, m.inFeatures] },
      { name: m.nameB, shape: [m.outFeatures, m.rank] },
    ])
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  return {
    kind: 'lora',
    options,
    tensors,
    init: async (random) => initial(modules, random),
    wrap: (graph, base, mode) => wrap(graph, base, byName, mode.training ? options.dropout : 0),
    adapterConfig: () => toPeftConfig(options, writtenTargets(options, layout, modules)),
    merged: (params) => mergedLowRank(lowRankUpdates(modules, params), layout),
    lowRank: (params) => lowRankUpdates(modules, params),
  };
}

function lowRankUpdates(modules: readonly LoraModule[], params: Params): LowRankUpdate[] {
  return modules.map(({ module, scale, nameA, nameB }) => ({
    module,
    scale,
    a: params.get(nameA)!,
    b: params.get(nameB)!,
  }));
}

function loraModules(options: LoraOptions, layout: ModelLayout): LoraModule[] {
  const linears = new Map(layout.linears.map((linear) => [linear.module, linear]));
  return selectModules([...linears.keys()], options).map((module) => {
    const { inFeatures, outFeatures } = linears.get(module)!;
    const rank = patternValue(options.rankPattern, module, options.rank);
    const alpha = patternValue(options.alphaPattern, module, options.alpha);
    const scale = alpha / (options.useRslora ? Math.sqrt(rank) : rank);
    const prefix = `base_model.model.${module}`;
    const names = { nameA: `${prefix}.lora_A.weight`, nameB: `${prefix}.lora_B.weight` };
    return { module, inFeatures, outFeatures, rank, scale, ...names };
  });
}

/** `all-linear` as suffixes when they select the same modules, so that the file reads like everybody else's. */
function writtenTargets(
  options: LoraOptions,
  layout: ModelLayout,
  modules: readonly LoraModule[],
): string | string[] {
  const { targetModules } = options;
  if (typeof targetModules !== 'string') return [...targetModules].sort();
  if (targetModules.toLowerCase() !== 'all-linear') return targetModules;
  const suffixes = [...new Set(modules.map(({ module }) => module.split('.').at(-1) as string))].sort();
  const all = layout.linears.map(({ module }) => module);
  const selected = selectModules(all, { ...options, targetModules: suffixes });
  return selected.length === modules.length ? suffixes : modules.map(({ module }) => module).sort();
}

/** A ~ U(−1/√D, 1/√D), which is Kaiming-uniform with a = √5; B = 0. Seeded by module name. */
function initial(modules: readonly LoraModule[], random: Rng): Map<string, Tensor<'float32'>> {
  const entries = modules.flatMap((m): [string, Tensor<'float32'>][] => {
    const stream = random.split(m.module);
    const bound = 1 / Math.sqrt(m.inFeatures);
    const values = Float32Array.from(
      { length: m.rank * m.inFeatures },
      () => (2 * stream.uniform() - 1) * bound,
    );
    return [
      [m.nameA, tensor('float32', [m.rank, m.inFeatures], values)],
      [m.nameB, zeros('float32', [m.outFeatures, m.rank])],
    ];
  });
  return new Map(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}

function wrap(
  graph: Graph,
  base: Sites,
  modules: ReadonlyMap<string, LoraModule>,
  dropoutProbability: number,
): Wrapped {
  const trainable = new Map<string, Value>();
  for (const m of modules.values()) {
    trainable.set(m.nameA, graph.input(m.nameA, 'float32', [m.rank, m.inFeatures]));
    trainable.set(m.nameB, graph.input(m.nameB, 'float32', [m.outFeatures, m.rank]));
  }
  const dropout: DropoutSite[] = [];
  const dropped = (x: Value, module: string): Value => {
    if (dropoutProbability === 0) return x;
    const site: DropoutSite = { name: `dropout:${module}`, shape: x.shape, dropoutProbability };
    dropout.push(site);
    return mul(x, cast(graph.input(site.name, 'bool', site.shape), 'float32'));
  };
  const linear: Sites['linear'] = (x, module, shape) => {
    const y = base.linear(x, module, shape);
    const m = modules.get(module);
    if (m === undefined) return y;
    assert(
      shape.inFeatures === m.inFeatures && shape.outFeatures === m.outFeatures,
      `${module} changed its shape`,
    );
    const [a, b] = [trainable.get(m.nameA)!, trainable.get(m.nameB)!];
    // The scale and dropout's 1/(1−p) cost least on the [N, R] product.
    const alpha = m.scale / (1 - dropoutProbability);
    const low = matmul(dropped(x, module), a, { transB: true, alpha });
    return add(y, matmul(low, b, { transB: true }));
  };
  return { sites: { ...base, linear }, trainable, dropout };
}
