/**
 * (IA)³ (Liu et al. 2022, arXiv:2205.05638): learnt vectors rescale what a linear module gives, y ⊙ l, or for feed-forward
 * targets what it takes, (x ⊙ l) Wᵀ + b. Starts at l = 1. Names and rules are PEFT's, where l is [E, 1] or [1, D].
 */

import { z } from 'zod';
import { type Params, tensor } from '../base/tensor.ts';
import type { Graph } from '../graph/ir.ts';
import { mul, reshape, sub } from '../graph/ops/index.ts';
import { dim } from '../graph/shapes.ts';
import type { LinearRole, LinearShape, Sites } from '../graph/sites.ts';
import { declaredInputs } from './contribution.ts';
import type {
  BoundTuning,
  Contribution,
  MergeWeight,
  ModelLayout,
  TrainableTensor,
  TuningInputs,
  TuningKind,
  Wrapped,
} from './kind.ts';
import {
  fullMatch,
  refuseOtherModules,
  selectModules,
  withoutIdleTargets,
  writtenNames,
} from './lora-targets.ts';
import {
  emptyToUndefined,
  type KnownSettings,
  parsedOptions,
  refuseUnread,
  taskType,
} from './peft-config.ts';
import {
  adaptable,
  modulesToSaveOption,
  type SavedModules,
  savedModules,
  withoutIdleModules,
} from './saved-modules.ts';
import { alsoTraining, sorted, sortedParams } from './trained-parameters.ts';

const names = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]);

const options = z.strictObject({
  targetModules: names
    .optional()
    .describe('As for LoRA; omitted: keys, values (fused projections whole) and the outputs of MLPs.'),
  feedforwardModules: z
    .union([z.string().min(1), z.array(z.string().min(1))])
    .optional()
    .describe('Those of the targets whose input is rescaled; omitted: the outputs of MLPs.'),
  excludeModules: names.optional(),
  modulesToSave: modulesToSaveOption,
});

type Ia3Options = z.infer<typeof options>;

export const ia3: TuningKind<Ia3Options> = {
  id: 'ia3',
  summary: 'learnt vectors that rescale keys, values and MLP activations ((IA)³), in PEFT format',
  options,
  bind: bindIa3,
  fromAdapterConfig: (config) => (config.peft_type === 'IA3' ? fromConfig(config) : undefined),
  bindAdapter: (given, layout) => bindIa3(fitting(given, layout), layout),
};

const SETTINGS: KnownSettings = {
  read: new Set(['target_modules', 'feedforward_modules', 'exclude_modules', 'modules_to_save']),
  harmless: new Set(['fan_in_fan_out', 'init_ia3_weights']),
  unused: {},
  computed: '(IA)³ on linear modules',
};

function fromConfig(config: Record<string, unknown>): Ia3Options {
  refuseUnread(config, SETTINGS);
  return parsedOptions(options, {
    targetModules: emptyToUndefined(config.target_modules),
    feedforwardModules: config.feedforward_modules,
    excludeModules: emptyToUndefined(config.exclude_modules),
    modulesToSave: emptyToUndefined(config.modules_to_save),
  });
}

function fitting(given: Ia3Options, layout: ModelLayout): Ia3Options {
  const { targetModules } = given;
  if (targetModules === undefined) return withoutIdleModules(given, layout);
  const linears = layout.linears.map(({ module }) => module);
  return withoutIdleModules(withoutIdleTargets(linears, { ...given, targetModules }), layout);
}

interface Ia3Module {
  readonly module: string;
  readonly shape: LinearShape;
  readonly isFeedforward: boolean;
  /** l, [1, D] for feed-forward modules, else [E, 1]. */
  readonly vector: TrainableTensor;
}

function bindIa3(given: Ia3Options, layout: ModelLayout): BoundTuning {
  const saved = savedModules(given.modulesToSave, layout);
  const modules = ia3Modules(given, layout, saved);
  const adapter: BoundTuning = {
    kind: 'ia3',
    options: given,
    tensors: sorted(modules.map(({ vector }) => vector)),
    init: async () =>
      sortedParams(
        modules.map(({ vector: { name, shape } }) => {
          const ones = new Float32Array(Math.max(...shape)).fill(1);
          return [name, tensor('float32', shape, ones)];
        }),
      ),
    wrap: (graph, base) => wrap(graph, base, modules),
    contribute: (inputs) => contribution(modules, inputs),
    adapterConfig: () => written(layout, saved, modules),
    merged: (params) => merged(modules, params),
  };
  return alsoTraining(adapter, saved.parameters);
}

const DEFAULT_ROLES: ReadonlySet<LinearRole> = new Set(['key', 'value', 'query-key-value', 'mlp-output']);

function ia3Modules(given: Ia3Options, layout: ModelLayout, saved: SavedModules): Ia3Module[] {
  const linears = adaptable(layout, saved);
  const all = linears.map(({ module }) => module);
  const byRole = linears.filter(({ role }) => DEFAULT_ROLES.has(role)).map(({ module }) => module);
  const targetModules = given.targetModules ?? byRole;
  refuseOtherModules(targetModules, layout);
  const selected = new Set(selectModules(all, { ...given, targetModules }));
  return linears
    .filter(({ module }) => selected.has(module))
    .map(({ module, ...shape }) => {
      const isFeedforward = isFeedforwardModule(module, shape.role, given.feedforwardModules);
      const name = `base_model.model.${module}.ia3_l`;
      const vector = { name, shape: isFeedforward ? [1, shape.inFeatures] : [shape.outFeatures, 1] };
      return { module, shape, isFeedforward, vector };
    });
}

/** PEFT compares ends of names, not of dotted parts; a lone string is a regular expression over the whole name. */
function isFeedforwardModule(
  module: string,
  role: LinearRole,
  given: Ia3Options['feedforwardModules'],
): boolean {
  if (given === undefined) return role === 'mlp-output';
  if (typeof given === 'string') return fullMatch(given, module, 'feedforwardModules');
  return given.some((ending) => module.endsWith(ending));
}

function written(
  layout: ModelLayout,
  saved: SavedModules,
  modules: readonly Ia3Module[],
): Record<string, unknown> {
  const all = adaptable(layout, saved).map(({ module }) => module);
  const targets = modules.map(({ module }) => module);
  const feedforward = modules.filter(({ isFeedforward }) => isFeedforward).map(({ module }) => module);
  const suffixes = writtenNames(all, feedforward);
  const isExact = targets.every(
    (name) => suffixes.some((s) => name.endsWith(s)) === feedforward.includes(name),
  );
  return {
    auto_mapping: null,
    exclude_modules: null,
    fan_in_fan_out: layout.linears.some(({ stored }) => stored === 'in-out'),
    feedforward_modules: isExact ? suffixes : feedforward.sort(),
    inference_mode: true,
    init_ia3_weights: true,
    modules_to_save: saved.modules.length === 0 ? null : saved.modules,
    peft_type: 'IA3',
    peft_version: '0.21.0',
    revision: null,
    target_modules: writtenNames(all, targets),
    task_type: taskType(layout),
  };
}

/** The vectors as rows of one element high: [1, E] or [1, D]. */
function vectorsOf(modules: readonly Ia3Module[], inputs: TuningInputs) {
  return new Map(
    modules.map(({ module, isFeedforward, vector }) => {
      const value = inputs.trained(vector);
      return [module, { isFeedforward, l: isFeedforward ? value : reshape(value, [1, dim(value.shape, 0)]) }];
    }),
  );
}

/** y ⊙ l, or (x ⊙ l) Wᵀ + b. */
function wrap(graph: Graph, base: Sites, modules: readonly Ia3Module[]): Wrapped {
  const { inputs, trainable, dropout } = declaredInputs(graph);
  const vectors = vectorsOf(modules, inputs);
  const linear: Sites['linear'] = (x, module, shape) => {
    const m = vectors.get(module);
    if (m === undefined) return base.linear(x, module, shape);
    if (m.isFeedforward) return base.linear(mul(x, m.l), module, shape);
    return mul(base.linear(x, module, shape), m.l);
  };
  return { sites: { ...base, linear }, trainable, dropout };
}

/** The same as what is added to y: y ⊙ (l − 1), or (x ⊙ (l − 1)) Wᵀ, which takes a second product. */
function contribution(modules: readonly Ia3Module[], inputs: TuningInputs): Contribution {
  const vectors = vectorsOf(modules, inputs);
  return {
    delta({ x, y, module, shape, sites }) {
      const m = vectors.get(module);
      if (m === undefined) return undefined;
      const change = sub(m.l, x.graph.scalar(1));
      return m.isFeedforward
        ? sites.linear(mul(x, change), module, { ...shape, bias: false })
        : mul(y, change);
    },
  };
}

function merged(modules: readonly Ia3Module[], params: Params): Map<string, MergeWeight> {
  const entries = modules.flatMap(({ module, shape, isFeedforward, vector }): [string, MergeWeight][] => {
    const l = params.get(vector.name)!.data;
    const { inFeatures, outFeatures, stored = 'out-in' } = shape;
    const width = stored === 'in-out' ? outFeatures : inFeatures;
    // Of element i = row · width + column of the stored matrix the column counts when it runs along l's axis.
    const isColumn = isFeedforward === (stored === 'out-in');
    const weight: MergeWeight = (w) =>
      w.map((value, i) => value * l[isColumn ? i % width : Math.floor(i / width)]!);
    const bias: MergeWeight = (b) => b.map((value, i) => value * l[i]!);
    return [
      [`${module}.weight`, weight],
      ...(shape.bias && !isFeedforward ? [[`${module}.bias`, bias] as [string, MergeWeight]] : []),
    ];
  });
  return new Map(entries);
}
