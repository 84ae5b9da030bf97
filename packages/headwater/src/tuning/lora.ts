/**
 * LoRA (Hu et al. 2021, arXiv:2106.09685) and rsLoRA (Kalajdzievski 2023, arXiv:2312.03732):
 * y = x Wᵀ + b + s · dropout(x) Aᵀ Bᵀ with A [R, D], B [E, R], s = alpha / R, or alpha / √R with rsLoRA.
 * Names, initial values and dropout are PEFT's. Knows sites by name, no architecture.
 */

import { assert } from '../base/errors.ts';
import { fromContribution } from './contribution.ts';
import type { BoundTuning, Contribution, ModelLayout, TuningInputs, TuningKind } from './kind.ts';
import { fromPeftConfig, type LoraOptions, loraOptions, toPeftConfig } from './lora-config.ts';
import {
  fittingOptions,
  initialFactors,
  type LoraModule,
  loraModules,
  lowRankUpdates,
  trainedBiases,
  writtenTargets,
} from './lora-modules.ts';
import { mergedLowRank } from './low-rank.ts';
import { timesTransposed } from './per-example.ts';
import { savedModules } from './saved-modules.ts';
import { alsoTraining, sorted, sortedParams } from './trained-parameters.ts';

export const lora: TuningKind<LoraOptions> = {
  id: 'lora',
  summary: 'low-rank updates of linear modules (LoRA, rsLoRA), in PEFT format',
  options: loraOptions,
  bind: bindLora,
  fromAdapterConfig: (config) =>
    config.peft_type === 'LORA' && config.use_dora !== true ? fromPeftConfig(config) : undefined,
  bindAdapter: (options, layout) => bindLora(fittingOptions(options, layout), layout),
};

function bindLora(options: LoraOptions, layout: ModelLayout): BoundTuning {
  const saved = savedModules(options.modulesToSave, layout);
  const modules = loraModules(options, layout, saved);
  const targets = writtenTargets(options, layout, saved, modules);
  const adapter = fromContribution({
    kind: 'lora',
    options,
    perExample: modules.every(({ shape }) => shape.role !== 'head'),
    tensors: sorted(modules.flatMap(({ a, b }) => [a, b])),
    factors: modules.map(({ module, a, b, scale }) => ({ module, a: a.name, b: b.name, scale })),
    init: async (random) => sortedParams(initialFactors(modules, random)),
    contribute: (inputs, mode) => contribution(modules, inputs, mode.training ? options.dropout : 0),
    adapterConfig: () =>
      toPeftConfig(options, { layout, targets, modulesToSave: saved.modules, useDora: false }),
    merged: (params) => mergedLowRank(lowRankUpdates(modules, params), layout),
    lowRank: (params) => lowRankUpdates(modules, params),
  });
  const biases = trainedBiases(options.bias, layout, modules, saved);
  return alsoTraining(adapter, [...saved.parameters, ...biases]);
}

function contribution(
  modules: readonly LoraModule[],
  inputs: TuningInputs,
  dropoutProbability: number,
): Contribution {
  const factors = new Map(
    modules.map((m) => [m.module, { ...m, a: inputs.trained(m.a), b: inputs.trained(m.b) }]),
  );
  return {
    delta({ x, module, shape }) {
      const m = factors.get(module);
      if (m === undefined) return undefined;
      assert(
        shape.inFeatures === m.shape.inFeatures && shape.outFeatures === m.shape.outFeatures,
        `${module} changed its shape`,
      );
      // The scale and dropout's 1/(1−p) cost least on the [N, R] product.
      const alpha = m.scale / (1 - dropoutProbability);
      const low = timesTransposed(inputs.dropped(x, module, dropoutProbability), m.a, alpha);
      return timesTransposed(low, m.b);
    },
  };
}
