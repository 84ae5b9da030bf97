/**
 * DoRA (Liu et al. 2024, arXiv:2402.09353): a LoRA update whose rows are rescaled to learnt lengths,
 * y = g ⊙ (x Wᵀ + s · x Aᵀ Bᵀ) + b with g = m / ‖W + s B A‖ by rows, m [E]. The norm is a constant of the backward pass
 * (section 4.3), as in PEFT, whose names, initial values and dropout these are.
 */

import { tensor } from '../base/tensor.ts';
import type { Value } from '../graph/ir.ts';
import { add, detach, div, matmul, mul, reduceSum, reshape, scale, sqrt, sub } from '../graph/ops/index.ts';
import { storedShape } from '../graph/sites.ts';
import { fromContribution } from './contribution.ts';
import type {
  BoundTuning,
  Contribution,
  LinearSite,
  MergeWeight,
  ModelLayout,
  TrainableTensor,
  TuningInputs,
  TuningKind,
} from './kind.ts';
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
import { addProduct } from './low-rank.ts';
import { savedModules } from './saved-modules.ts';
import { alsoTraining, sorted, sortedParams } from './trained-parameters.ts';

export const dora: TuningKind<LoraOptions> = {
  id: 'dora',
  summary: 'low-rank updates with learnt row lengths (DoRA), in PEFT format',
  options: loraOptions,
  bind: bindDora,
  fromAdapterConfig: (config) =>
    config.peft_type === 'LORA' && config.use_dora === true ? fromPeftConfig(config) : undefined,
  bindAdapter: (options, layout) => bindDora(fittingOptions(options, layout), layout),
};

function bindDora(options: LoraOptions, layout: ModelLayout): BoundTuning {
  const saved = savedModules(options.modulesToSave, layout);
  const modules = loraModules(options, layout, saved);
  const targets = writtenTargets(options, layout, saved, modules);
  const adapter = fromContribution({
    kind: 'dora',
    options,
    tensors: sorted(modules.flatMap((m) => [m.a, m.b, magnitudeOf(m)])),
    async init(random, baseValue) {
      const entries = initialFactors(modules, random);
      for (const m of modules) {
        const lengths = rowLengths(await baseValue(`${m.module}.weight`), m);
        entries.push([magnitudeOf(m).name, tensor('float32', [m.shape.outFeatures], lengths)]);
      }
      return sortedParams(entries);
    },
    contribute: (inputs, mode) => contribution(modules, inputs, mode.training ? options.dropout : 0),
    adapterConfig: () =>
      toPeftConfig(options, { layout, targets, modulesToSave: saved.modules, useDora: true }),
    merged: (params) =>
      new Map(
        lowRankUpdates(modules, params).map((update, i): [string, MergeWeight] => {
          const m = modules[i]!;
          const magnitude = params.get(magnitudeOf(m).name)!.data;
          return [
            `${m.module}.weight`,
            (stored) => {
              const result = stored.slice();
              addProduct(result, update.a, update.b, update.scale, m.shape.stored);
              return withRowLengths(result, m, magnitude);
            },
          ];
        }),
      ),
  });
  return alsoTraining(adapter, [...saved.parameters, ...trainedBiases(options.bias, layout, modules, saved)]);
}

function magnitudeOf({ module, shape }: LoraModule): TrainableTensor {
  return { name: `base_model.model.${module}.lora_magnitude_vector`, shape: [shape.outFeatures] };
}

/** Offset of the element (out, in) of a stored matrix. */
function offsetIn({ shape }: LoraModule): (out: number, i: number) => number {
  const { inFeatures, outFeatures, stored } = shape;
  return stored === 'in-out' ? (out, i) => i * outFeatures + out : (out, i) => out * inFeatures + i;
}

/** ‖W‖ of each of the E rows. */
function rowLengths(weight: Float32Array, m: LoraModule): Float32Array {
  const at = offsetIn(m);
  return Float32Array.from({ length: m.shape.outFeatures }, (_, out) => {
    let sum = 0;
    for (let i = 0; i < m.shape.inFeatures; i++) sum += weight[at(out, i)]! ** 2;
    return Math.sqrt(sum);
  });
}

/** Rows rescaled in place. */
function withRowLengths(weight: Float32Array, m: LoraModule, lengths: Float32Array): Float32Array {
  const at = offsetIn(m);
  for (const [out, length] of rowLengths(weight, m).entries())
    for (let i = 0; i < m.shape.inFeatures; i++) weight[at(out, i)]! *= lengths[out]! / length;
  return weight;
}

interface DoraFactors {
  readonly module: LoraModule;
  readonly a: Value;
  readonly b: Value;
  readonly magnitude: Value;
}

function contribution(
  modules: readonly LoraModule[],
  inputs: TuningInputs,
  dropoutProbability: number,
): Contribution {
  const factors = new Map<string, DoraFactors>(
    modules.map((module) => [
      module.module,
      {
        module,
        a: inputs.trained(module.a),
        b: inputs.trained(module.b),
        magnitude: inputs.trained(magnitudeOf(module)),
      },
    ]),
  );
  return {
    delta(site) {
      const m = factors.get(site.module);
      if (m === undefined) return undefined;
      const x = inputs.dropped(site.x, site.module, dropoutProbability);
      return doraDelta({ ...site, x }, m, dropoutProbability);
    },
  };
}

/** (g − 1) ⊙ x Wᵀ + g ⊙ s · x Aᵀ Bᵀ: with dropout the first product is computed again from the dropped x. */
function doraDelta(site: LinearSite, m: DoraFactors, dropoutProbability: number): Value {
  const { x, module, shape } = site;
  const keep = 1 / (1 - dropoutProbability);
  const product =
    dropoutProbability === 0
      ? withoutBias(site)
      : scale(site.sites.linear(x, module, { ...shape, bias: false }), keep);
  const low = matmul(x, m.a, { transB: true, alpha: m.module.scale * keep });
  const update = matmul(low, m.b, { transB: true });
  const norm = rowNorms(site, m);
  const g = reshape(div(m.magnitude, norm), [1, shape.outFeatures]);
  return add(mul(sub(g, g.graph.scalar(1)), product), mul(g, update));
}

/** x Wᵀ of a module whose y = x Wᵀ + b is known. */
function withoutBias({ y, module, shape, sites }: LinearSite): Value {
  return shape.bias ? sub(y, sites.parameter(`${module}.bias`, [shape.outFeatures])) : y;
}

/**
 * ‖W + s B A‖ by rows, [E], as a constant. Its square is Σ W² + 2s Σ (W Aᵀ) ⊙ B + s² Σ (B A Aᵀ) ⊙ B, so that no second
 * matrix of W's size lives.
 */
function rowNorms({ module, shape, sites }: LinearSite, { a, b, module: { scale: s } }: DoraFactors): Value {
  const isTransposed = shape.stored === 'in-out';
  const w = sites.parameter(`${module}.weight`, storedShape(shape));
  const [A, B] = [detach(a), detach(b)];
  const own = reduceSum(mul(w, w), [isTransposed ? 0 : 1]);
  const mixed = matmul(w, A, { transA: isTransposed, transB: true, alpha: 2 * s });
  const low = matmul(B, matmul(A, A, { transB: true, alpha: s * s }));
  return detach(sqrt(add(own, reduceSum(mul(add(mixed, low), B), [1]))));
}
