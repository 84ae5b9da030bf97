/**
 * Bottleneck adapters: y + U σ(D y + d) + u behind linear modules, D [M, E], U [E, M]. Houlsby et al. 2019 (arXiv:1902.00751)
 * put them behind the attention's output and the MLP's, Pfeiffer et al. 2021 (arXiv:2005.00247) behind the MLP's only.
 * U and u start at zero, so the network starts as its base. PEFT has no such kind: the format is Headwater's own.
 */

import { z } from 'zod';
import type { Rng } from '../base/random.ts';
import { type Tensor, tensor, zeros } from '../base/tensor.ts';
import type { Value } from '../graph/ir.ts';
import { add, gelu, greater, matmul, tanh, where } from '../graph/ops/index.ts';
import type { LinearRole } from '../graph/sites.ts';
import { fromContribution } from './contribution.ts';
import type {
  BoundTuning,
  Contribution,
  ModelLayout,
  TrainableTensor,
  TuningInputs,
  TuningKind,
} from './kind.ts';
import { layerIndex, refuseOtherModules, selectModules, writtenNames } from './lora-targets.ts';
import {
  emptyToUndefined,
  type KnownSettings,
  parsedOptions,
  refuseUnread,
  taskType,
} from './peft-config.ts';
import { adaptable, modulesToSaveOption, type SavedModules, savedModules } from './saved-modules.ts';
import { alsoTraining, sorted, sortedParams } from './trained-parameters.ts';

const PEFT_TYPE = 'BOTTLENECK';

const ACTIVATIONS = {
  relu: (x: Value): Value => {
    const zero = x.graph.scalar(0);
    return where(greater(x, zero), x, zero);
  },
  gelu,
  tanh,
};

const options = z.strictObject({
  style: z
    .enum(['houlsby', 'pfeiffer'])
    .default('pfeiffer')
    .describe('Behind attention and MLP (houlsby), or behind the MLP only (pfeiffer).'),
  reductionFactor: z
    .number()
    .min(1)
    .default(16)
    .describe('The inner width M is the width of the module over this factor, rounded down.'),
  nonLinearity: z.enum(['relu', 'gelu', 'tanh']).default('relu'),
  targetModules: z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
    .optional()
    .describe('As for LoRA, instead of those that the style names.'),
  modulesToSave: modulesToSaveOption,
});

type BottleneckOptions = z.infer<typeof options>;

export const bottleneck: TuningKind<BottleneckOptions> = {
  id: 'adapter',
  summary: 'small bottleneck networks behind the sublayers (Houlsby, Pfeiffer), in a format of its own',
  options,
  bind: bindBottleneck,
  fromAdapterConfig: (config) => (config.peft_type === PEFT_TYPE ? fromConfig(config) : undefined),
};

const SETTINGS: KnownSettings = {
  read: new Set(['style', 'reduction_factor', 'non_linearity', 'target_modules', 'modules_to_save']),
  harmless: new Set(),
  unused: {},
  computed: 'bottleneck adapters as it writes them',
};

function fromConfig(config: Record<string, unknown>): BottleneckOptions {
  refuseUnread(config, SETTINGS);
  return parsedOptions(options, {
    style: config.style,
    reductionFactor: config.reduction_factor,
    nonLinearity: config.non_linearity,
    targetModules: emptyToUndefined(config.target_modules),
    modulesToSave: emptyToUndefined(config.modules_to_save),
  });
}

interface BottleneckModule {
  readonly module: string;
  /** D [M, E], d [M], U [E, M], u [E]. */
  readonly downWeight: TrainableTensor;
  readonly downBias: TrainableTensor;
  readonly upWeight: TrainableTensor;
  readonly upBias: TrainableTensor;
}

function bindBottleneck(given: BottleneckOptions, layout: ModelLayout): BoundTuning {
  const saved = savedModules(given.modulesToSave, layout);
  const modules = bottleneckModules(given, layout, saved);
  const all = adaptable(layout, saved).map(({ module }) => module);
  const adapter = fromContribution({
    kind: 'adapter',
    options: given,
    tensors: sorted(modules.flatMap((m) => [m.downWeight, m.downBias, m.upWeight, m.upBias])),
    init: async (random) => sortedParams(modules.flatMap((m) => initial(m, random.split(m.module)))),
    contribute: (inputs) => contribution(modules, ACTIVATIONS[given.nonLinearity], inputs),
    adapterConfig: () => ({
      inference_mode: true,
      modules_to_save: saved.modules.length === 0 ? null : saved.modules,
      non_linearity: given.nonLinearity,
      peft_type: PEFT_TYPE,
      reduction_factor: given.reductionFactor,
      style: given.style,
      target_modules: writtenNames(
        all,
        modules.map(({ module }) => module),
      ),
      task_type: taskType(layout),
    }),
  });
  return alsoTraining(adapter, saved.parameters);
}

const ROLES: Readonly<Record<BottleneckOptions['style'], readonly LinearRole[]>> = {
  houlsby: ['attention-output', 'mlp-output'],
  pfeiffer: ['mlp-output'],
};

function bottleneckModules(
  given: BottleneckOptions,
  layout: ModelLayout,
  saved: SavedModules,
): BottleneckModule[] {
  const linears = adaptable(layout, saved);
  const byStyle = linears.filter(({ role }) => ROLES[given.style].includes(role));
  const targetModules = given.targetModules ?? byStyle.map(({ module }) => module);
  refuseOtherModules(targetModules, layout);
  const all = linears.map(({ module }) => module);
  const selected = new Set(selectModules(all, { targetModules }));
  return linears
    .filter(({ module }) => selected.has(module))
    .map(({ module, outFeatures }) => {
      const inner = Math.max(1, Math.floor(outFeatures / given.reductionFactor));
      const named = (name: string, ...shape: number[]) => ({
        name: `base_model.model.${module}.${name}`,
        shape,
      });
      return {
        module,
        downWeight: named('adapter_down.weight', inner, outFeatures),
        downBias: named('adapter_down.bias', inner),
        upWeight: named('adapter_up.weight', outFeatures, inner),
        upBias: named('adapter_up.bias', outFeatures),
      };
    });
}

/** D ~ U(−1/√E, 1/√E), all else zero. */
function initial(m: BottleneckModule, random: Rng): [string, Tensor<'float32'>][] {
  const [inner, width] = m.downWeight.shape as [number, number];
  const bound = 1 / Math.sqrt(width);
  const down = Float32Array.from({ length: inner * width }, () => (2 * random.uniform() - 1) * bound);
  const zero = ({ name, shape }: TrainableTensor) =>
    [name, zeros('float32', shape)] as [string, Tensor<'float32'>];
  return [
    [m.downWeight.name, tensor('float32', m.downWeight.shape, down)],
    ...[m.downBias, m.upWeight, m.upBias].map(zero),
  ];
}

function contribution(
  modules: readonly BottleneckModule[],
  activation: (x: Value) => Value,
  inputs: TuningInputs,
): Contribution {
  const values = new Map(
    modules.map((m) => [
      m.module,
      {
        down: inputs.trained(m.downWeight),
        downBias: inputs.trained(m.downBias),
        up: inputs.trained(m.upWeight),
        upBias: inputs.trained(m.upBias),
      },
    ]),
  );
  const narrowed = (y: Value, module: string) => {
    const m = values.get(module);
    if (m === undefined) return undefined;
    const inner = activation(add(matmul(y, m.down, { transB: true }), m.downBias));
    return add(matmul(inner, m.up, { transB: true }), m.upBias);
  };
  return {
    delta: ({ y, module }) => narrowed(y, module),
    // In network order, each on what the one before made of the block's input.
    bypass: (layer, x) =>
      modules
        .filter(
          ({ module, upWeight }) =>
            layerIndex(`${module}.`, undefined) === layer && upWeight.shape[0] === x.shape[1],
        )
        .reduce((h, { module }) => add(h, narrowed(h, module)!), x),
  };
}
