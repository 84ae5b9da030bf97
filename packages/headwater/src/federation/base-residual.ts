/**
 * A correction of the base that the server changes and clients use: y = x Wᵀ + s · x (R + B A)ᵀ for every module with LoRA
 * factors, s LoRA's scale. R [E, D] is one `given` tensor, or the product of two of a fixed rank. It knows no aggregation.
 */

import { z } from 'zod';
import { type Params, type Tensor, zeros } from '../base/tensor.ts';
import type { Value } from '../graph/ir.ts';
import { add, matmul } from '../graph/ops/index.ts';
import { fromContribution } from '../tuning/contribution.ts';
import type {
  BoundTuning,
  Contribution,
  LowRankFactors,
  MergeWeight,
  ModelLayout,
  TrainableTensor,
  TuningInputs,
} from '../tuning/kind.ts';
import { addDense, addProduct } from '../tuning/low-rank.ts';
import { zeroPadded } from './blocks.ts';
import {
  beside,
  firstColumns,
  type Matrix,
  matrixOf,
  scaleColumns,
  stacked,
  svdOfProduct,
  tensorOf,
} from './linear-algebra.ts';
import { needsLora } from './lora-factors.ts';
import { differenceOf, sortedParams } from './params.ts';

/**
 * `dense`: exact, as large as the modules' weights. A rank: factors of that rank, the best approximation of the sum of all
 * corrections; exact while their ranks add up to no more.
 */
export const residualForm = z
  .union([z.literal('dense'), z.strictObject({ rank: z.int().positive() })])
  .default('dense')
  .describe('How the correction of the base is kept: whole matrices, or factors of a fixed rank.');

export type ResidualForm = z.infer<typeof residualForm>;

const NAME = /\.base_residual(_[AB])?\.weight$/;

export function isResidual(name: string): boolean {
  return NAME.test(name);
}

/** `selectTrainable` of methods with a residual. */
export function residualRole({ name }: TrainableTensor): 'given' | 'shared' {
  return isResidual(name) ? 'given' : 'shared';
}

/** For methods with a residual: what to say when the tuning slot found no plain LoRA. */
export function needsResidual(tensors: readonly TrainableTensor[]): string[] {
  const mistakes = needsLora(tensors);
  if (mistakes.length > 0 || tensors.some(({ name }) => isResidual(name))) return mistakes;
  return [
    'it corrects the base by products of factors, which only tuning.kind lora adds to the base; flexlora averages products without that',
  ];
}

interface ResidualModule extends LowRankFactors {
  readonly inFeatures: number;
  readonly outFeatures: number;
  readonly stored: 'out-in' | 'in-out';
  /** One tensor, or A and B. */
  readonly tensors: readonly TrainableTensor[];
}

/**
 * The tuning with a residual beside its factors. It has no adapter format: the result is a whole model. Tunings without
 * known factors come back as they are, `needsResidual` tells.
 */
export function withResidual(bound: BoundTuning, layout: ModelLayout, form: ResidualForm): BoundTuning {
  const { factors, contribute, merged, lowRank: _, adapterTensors: __, ...rest } = bound;
  if (factors === undefined || contribute === undefined || merged === undefined) return bound;
  const modules = factors.map((own) => residualModule(own, layout, form));
  const added = modules.flatMap(({ tensors }) => tensors);
  return fromContribution({
    ...rest,
    factors,
    untrained: new Set([...(bound.untrained ?? []), ...added.map(({ name }) => name)]),
    tensors: [...bound.tensors, ...added].sort((a, b) => (a.name < b.name ? -1 : 1)),
    async init(...source) {
      const fresh = added.map(({ name, shape }) => [name, zeros('float32', shape)] as const);
      return sortedParams([...(await bound.init(...source)), ...fresh]);
    },
    contribute: (inputs, mode) => corrected(contribute(inputs, mode), modules, inputs),
    merged: (params) => mergedWith(merged(params), modules, params),
    adapterConfig: () => undefined,
  });
}

function residualModule(own: LowRankFactors, layout: ModelLayout, form: ResidualForm): ResidualModule {
  const linear = layout.linears.find(({ module }) => module === own.module)!;
  const { inFeatures, outFeatures, stored = 'out-in' } = linear;
  const stem = stemOf(own.a);
  const tensors =
    form === 'dense'
      ? [{ name: denseName(stem), shape: [outFeatures, inFeatures] }]
      : [
          { name: factorName(stem, 'A'), shape: [form.rank, inFeatures] },
          { name: factorName(stem, 'B'), shape: [outFeatures, form.rank] },
        ];
  return { ...own, inFeatures, outFeatures, stored, tensors };
}

const stemOf = (factorA: string) => factorA.replace(/\.lora_A\.[^.]+$/, '');
const denseName = (stem: string) => `${stem}.base_residual.weight`;
const factorName = (stem: string, factor: 'A' | 'B') => `${stem}.base_residual_${factor}.weight`;

function corrected(
  own: Contribution,
  modules: readonly ResidualModule[],
  inputs: TuningInputs,
): Contribution {
  const values = new Map(
    modules.map((m) => [m.module, { ...m, values: m.tensors.map((tensor) => inputs.trained(tensor)) }]),
  );
  return {
    ...own,
    delta(site) {
      const delta = own.delta?.(site);
      const found = values.get(site.module);
      if (found === undefined) return delta;
      const correction = timesResidual(site.x, found.values, found.scale);
      return delta === undefined ? correction : add(delta, correction);
    },
  };
}

/** s · x Rᵀ; x [N, D] → [N, E]. */
function timesResidual(x: Value, [first, second]: readonly Value[], scale: number): Value {
  const inner = matmul(x, first!, { transB: true, alpha: scale });
  return second === undefined ? inner : matmul(inner, second, { transB: true });
}

function mergedWith(
  own: ReadonlyMap<string, MergeWeight>,
  modules: readonly ResidualModule[],
  params: Params,
): Map<string, MergeWeight> {
  const result = new Map(own);
  for (const { module, scale, stored, tensors } of modules) {
    const name = `${module}.weight`;
    const [first, second] = tensors.map((tensor) => params.get(tensor.name)!);
    result.set(name, (base) => {
      const weight = own.get(name)?.(base) ?? base.slice();
      if (second === undefined) addDense(weight, first!, scale, stored);
      else addProduct(weight, first!, second, scale, stored);
      return weight;
    });
  }
  return result;
}

/** R of the module with this factor A, [E, D]; undefined where there is none. */
export function residualOf(params: Params, factorA: string): Matrix | undefined {
  const stem = stemOf(factorA);
  const dense = params.get(denseName(stem));
  if (dense !== undefined) return matrixOf(dense);
  const [a, b] = [params.get(factorName(stem, 'A')), params.get(factorName(stem, 'B'))];
  return a === undefined || b === undefined ? undefined : matrixOf(b).mmul(matrixOf(a));
}

/** What has to be added to the residual's tensors so that R grows by B A; `factorA` names the module's A. */
export function residualGrowth(params: Params, factorA: string, b: Matrix, a: Matrix): Params {
  const stem = stemOf(factorA);
  const dense = params.get(denseName(stem));
  if (dense !== undefined) return new Map([[denseName(stem), tensorOf(b.mmul(a))]]);
  const before = new Map(
    (['A', 'B'] as const).map((factor) => {
      const name = factorName(stem, factor);
      return [name, params.get(name)!] as const;
    }),
  );
  return differenceOf(grown(before, stem, b, a), before);
}

/** The best residual of the same rank for R + B A, its singular values shared by both factors. */
function grown(before: Params, stem: string, b: Matrix, a: Matrix): Params {
  const [oldA, oldB] = [before.get(factorName(stem, 'A'))!, before.get(factorName(stem, 'B'))!];
  const rank = oldA.shape[0]!;
  const { u, s, v } = svdOfProduct(beside([matrixOf(oldB), b]), stacked([matrixOf(oldA), a]));
  const roots = s.map(Math.sqrt);
  const part = (matrix: Matrix) => firstColumns(scaleColumns(matrix, roots), rank);
  return new Map([
    [factorName(stem, 'A'), padded(part(v).transpose(), oldA)],
    [factorName(stem, 'B'), padded(part(u), oldB)],
  ]);
}

function padded(matrix: Matrix, like: Tensor<'float32'>): Tensor<'float32'> {
  return zeroPadded(tensorOf(matrix), like.shape);
}
