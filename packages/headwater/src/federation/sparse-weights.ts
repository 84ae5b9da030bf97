/**
 * Sparse training of the modules that LoRA adapts, beside LoRA: R [E, D] of y = x W₀ᵀ + s · x (R + B A)ᵀ is zero outside of a
 * random mask, drawn by a seed and the same for everybody; its values inside are one vector. It knows no rounds.
 */

import { rng } from '../base/random.ts';
import { type Params, sizeOf, type Tensor, tensor, zeros } from '../base/tensor.ts';
import { derivedTuning } from '../tuning/derived.ts';
import type { BoundTuning, ModelLayout, TrainableTensor } from '../tuning/kind.ts';
import { isResidual, withResidual } from './base-residual.ts';
import { leadingSvd } from './leading-svd.ts';
import { matrixOf, scaleColumns, tensorOf, withColumns } from './linear-algebra.ts';
import { overlaid, selectParams } from './params.ts';

export interface Mask {
  /** Share of the elements that are trained. */
  readonly density: number;
  readonly seed: number;
}

const RESIDUAL = '.base_residual.weight';
const SPARSE = '.sparse.weight';

export function isSparse(name: string): boolean {
  return name.endsWith(SPARSE);
}

/**
 * The adapter file holds LoRA alone: what `asLora` makes of the whole. Tunings that are not plain LoRA come back as they are.
 */
export function withSparseWeights(bound: BoundTuning, layout: ModelLayout, mask: Mask): BoundTuning {
  const dense = withResidual(bound, layout, 'dense');
  if (dense === bound) return bound;
  const residuals = dense.tensors.filter(({ name }) => isResidual(name));
  const places = new Map(residuals.map((own) => [own.name, placesOf(own, mask)]));
  const sparse = residuals.map(({ name }) => ({
    name: name.replace(RESIDUAL, SPARSE),
    shape: [places.get(name)!.length],
  }));
  const own = (params: Params) => selectParams(params, (name) => !isResidual(name));
  const taken = (of: Params) =>
    new Map([...own(of), ...residuals.map(({ name }) => takenFrom(of.get(name)!, name, places.get(name)!))]);
  const tuning = derivedTuning(dense, {
    tensors: [...bound.tensors, ...sparse],
    forward: (params) =>
      new Map([
        ...selectParams(params, (name) => !isSparse(name)),
        ...residuals.map(
          (residual) => [residual.name, spread(params, residual, places.get(residual.name)!)] as const,
        ),
      ]),
    backward: taken,
    lift: taken,
  });
  const { adapterConfig, adapterTensors } = bound;
  return {
    ...tuning,
    untrained: new Set(bound.untrained ?? []),
    adapterConfig: () => adapterConfig.call(bound),
    adapterTensors(params) {
      const factors = selectParams(asLora(params, mask), (name) => !isSparse(name));
      return adapterTensors?.call(bound, factors) ?? factors;
    },
  };
}

/**
 * The switch: B ← U_r S_r, A ← V_rᵀ of R + B A = U S Vᵀ, so that s B A is the best of its rank, and R ← 0. Where R is zero
 * nothing changes.
 */
export function asLora(params: Params, mask: Mask): Params {
  const changed = new Map<string, Tensor<'float32'>>();
  for (const [name, value] of params) {
    if (!isSparse(name) || value.data.every((x) => x === 0)) continue;
    const [a, b] = ['A', 'B'].map((factor) => name.replace(SPARSE, `.lora_${factor}.weight`));
    const [before, beforeB] = [params.get(a!)!, params.get(b!)!];
    const shape = [beforeB.shape[0]!, before.shape[1]!];
    const residual = { name: name.replace(SPARSE, RESIDUAL), shape };
    const whole = matrixOf(spread(params, residual, placesOf(residual, mask)));
    whole.add(matrixOf(beforeB).mmul(matrixOf(before)));
    const rank = before.shape[0]!;
    const { u, s, v } = leadingSvd(whole, rank);
    changed.set(a!, tensorOf(withColumns(v, rank).transpose()));
    changed.set(b!, tensorOf(withColumns(scaleColumns(u, s), rank)));
    changed.set(name, zeros('float32', value.shape));
  }
  return overlaid(params, changed);
}

/** ⌊density · E · D⌋ places, one at least, rising: Floyd's sample without repetition. */
function placesOf({ name, shape }: TrainableTensor, { density, seed }: Mask): Int32Array {
  const size = sizeOf(shape);
  const count = Math.max(1, Math.floor(density * size));
  const random = rng('sparse-mask', seed, name);
  const chosen = new Set<number>();
  for (let last = size - count; last < size; last++) {
    const place = random.below(last + 1);
    chosen.add(chosen.has(place) ? last : place);
  }
  return Int32Array.from(chosen).sort();
}

function spread(params: Params, { name, shape }: TrainableTensor, places: Int32Array): Tensor<'float32'> {
  const values = params.get(name.replace(RESIDUAL, SPARSE))!.data;
  const dense = zeros('float32', shape);
  for (let i = 0; i < places.length; i++) dense.data[places[i]!] = values[i]!;
  return dense;
}

function takenFrom(dense: Tensor<'float32'>, name: string, places: Int32Array) {
  const values = Float32Array.from(places, (place) => dense.data[place]!);
  return [name.replace(RESIDUAL, SPARSE), tensor('float32', [places.length], values)] as const;
}
