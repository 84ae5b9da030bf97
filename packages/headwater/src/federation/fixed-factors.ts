/**
 * LoRA with a small core between factors that are not trained: y = x W₀ᵀ + s · x (B R A)ᵀ, A [r, D] with orthonormal rows,
 * B [E, r] with orthonormal columns, R [r, r] (LoRA-XS, LoRA-SB). As a network and in its file it is LoRA with the factors A
 * and B R. It knows no rounds.
 */

import type { Rng } from '../base/random.ts';
import { type Params, type Tensor, zeros } from '../base/tensor.ts';
import { derivedTuning } from '../tuning/derived.ts';
import type { BoundTuning, LowRankFactors, TrainableTensor } from '../tuning/kind.ts';
import { orthonormal } from './leading-svd.ts';
import { Matrix, matrixOf, svdOfProduct, tensorOf } from './linear-algebra.ts';

const renamed = (factorA: string, part: string) =>
  factorA.replace(/\.lora_A\.[^.]+$/, `.lora_sb_${part}.weight`);

/** The three tensors of a module with the LoRA factor `factorA`. */
export function coreNames(factorA: string): { readonly a: string; readonly b: string; readonly r: string } {
  return { a: renamed(factorA, 'A'), b: renamed(factorA, 'B'), r: renamed(factorA, 'R') };
}

/** A or B. */
export function isFixedFactor(name: string): boolean {
  return /\.lora_sb_[AB]\.weight$/.test(name);
}

export function isCore(name: string): boolean {
  return name.endsWith('.lora_sb_R.weight');
}

/** Tunings without low-rank factors come back as they are. Fresh: random orthonormal A and B, R = 0. */
export function withCores(bound: BoundTuning): BoundTuning {
  const { factors } = bound;
  if (factors === undefined) return bound;
  const inFactors = new Set(factors.flatMap(({ a, b }) => [a, b]));
  const others = bound.tensors.filter(({ name }) => !inFactors.has(name));
  const rest = (params: Params) => [...params].filter(([name]) => others.some((own) => own.name === name));
  return derivedTuning(bound, {
    tensors: [...others, ...factors.flatMap((own) => coreTensors(own, bound))],
    forward: (params) => new Map([...rest(params), ...factors.flatMap((own) => factorsOf(own, params))]),
    backward: (grads, params) =>
      new Map([...rest(grads), ...factors.flatMap((own) => coreGradients(own, grads, params))]),
    lift: (inputs, random) =>
      new Map([...rest(inputs), ...factors.flatMap((own) => coresOf(own, inputs, random.split(own.a)))]),
  });
}

function coreTensors({ a, b }: LowRankFactors, { tensors }: BoundTuning): TrainableTensor[] {
  const shapeOf = (name: string) => tensors.find((own) => own.name === name)!.shape;
  const names = coreNames(a);
  const rank = shapeOf(a)[0]!;
  return [
    { name: names.a, shape: shapeOf(a) },
    { name: names.b, shape: shapeOf(b) },
    { name: names.r, shape: [rank, rank] },
  ];
}

type Entries = (readonly [string, Tensor<'float32'>])[];

function factorsOf({ a, b }: LowRankFactors, params: Params): Entries {
  const names = coreNames(a);
  const product = matrixOf(params.get(names.b)!).mmul(matrixOf(params.get(names.r)!));
  return [
    [a, params.get(names.a)!],
    [b, tensorOf(product)],
  ];
}

/** With B′ = B R: ∂R = Bᵀ ∂B′, ∂B = ∂B′ Rᵀ. */
function coreGradients({ a, b }: LowRankFactors, grads: Params, params: Params): Entries {
  const names = coreNames(a);
  const gradB = matrixOf(grads.get(b)!);
  const [fixedB, core] = [matrixOf(params.get(names.b)!), matrixOf(params.get(names.r)!)];
  return [
    [names.a, grads.get(a)!],
    [names.b, tensorOf(gradB.mmul(core.transpose()))],
    [names.r, tensorOf(fixedB.transpose().mmul(gradB))],
  ];
}

/** B A = U S Vᵀ gives A ← Vᵀ, B ← U, R ← S; fresh factors have no product to keep. */
function coresOf({ a, b }: LowRankFactors, inputs: Params, random: Rng): Entries {
  const names = coreNames(a);
  const [valueA, valueB] = [inputs.get(a)!, inputs.get(b)!];
  const rank = valueA.shape[0]!;
  if (valueB.data.every((x) => x === 0))
    return [
      [names.a, tensorOf(randomColumns(valueA.shape[1]!, rank, random.split('A')).transpose())],
      [names.b, tensorOf(randomColumns(valueB.shape[0]!, rank, random.split('B')))],
      [names.r, zeros('float32', [rank, rank])],
    ];
  const { u, s, v } = svdOfProduct(matrixOf(valueB), matrixOf(valueA));
  return [
    [names.a, tensorOf(v.transpose())],
    [names.b, tensorOf(u)],
    [names.r, tensorOf(Matrix.diag([...s], rank, rank))],
  ];
}

function randomColumns(rows: number, columns: number, random: Rng): Matrix {
  return orthonormal(gaussian(rows, columns, random));
}

export function gaussian(rows: number, columns: number, random: Rng): Matrix {
  const values = Float64Array.from({ length: rows * columns }, () => random.normal());
  return Matrix.from1DArray(rows, columns, values);
}
