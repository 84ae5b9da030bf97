/**
 * LoRA whose factors begin as the leading part of the base and whose frozen weight is the rest (PiSSA): W₀ = U S Vᵀ,
 * B₀ = U_r √(S_r / s), A₀ = √(S_r / s) V_rᵀ, y = x W₀ᵀ + s · x (B A − B₀ A₀)ᵀ. As a network and in its file it is LoRA of rank
 * 2r with the factors [A; A₀] and [B, −B₀], which any reader of LoRA loads beside the unchanged base. It knows no rounds.
 */

import type { Params, Tensor } from '../base/tensor.ts';
import { tensor } from '../base/tensor.ts';
import { derivedTuning } from '../tuning/derived.ts';
import type { BoundTuning, LowRankFactors, ModelLayout } from '../tuning/kind.ts';
import { lora } from '../tuning/lora.ts';
import { type LoraOptions, loraOptions } from '../tuning/lora-config.ts';
import { baseMatrix } from './base-matrix.ts';
import { leadingBlock } from './blocks.ts';
import { leadingSvd } from './leading-svd.ts';
import { type Matrix, scaleColumns, tensorOf, withColumns } from './linear-algebra.ts';
import { sortedParams } from './params.ts';

const initial = (factor: string) => factor.replace('.lora_', '.initial_');

/** Whether a tensor is A₀ or B₀. */
export function isInitialFactor(name: string): boolean {
  return /\.initial_[AB]\.[^.]+$/.test(name);
}

/** Tunings that are not plain LoRA come back as they are. */
export function withBaseFactors(bound: BoundTuning, layout: ModelLayout): BoundTuning {
  const { factors } = bound;
  if (factors === undefined || bound.kind !== 'lora') return bound;
  const inner = lora.bind(ofTwiceTheRank(loraOptions.parse(bound.options)), layout);
  const ofFactors = bound.tensors.filter(({ name }) => factors.some(({ a, b }) => a === name || b === name));
  const kept = ofFactors.map(({ name, shape }) => ({ name: initial(name), shape }));
  const tuning = derivedTuning(inner, {
    tensors: [...bound.tensors, ...kept],
    forward: (params) => joined(params, factors),
    backward: (grads) => firstHalves(grads, factors),
    lift: (inputs) => new Map([...firstHalves(inputs, factors), ...secondHalves(inputs, factors)]),
  });
  return {
    ...tuning,
    untrained: new Set([...(tuning.untrained ?? []), ...kept.map(({ name }) => name)]),
    async init(random, baseValue, encode) {
      const fresh = await tuning.init(random, baseValue, encode);
      const own: [string, Tensor<'float32'>][] = [];
      for (const factor of factors)
        own.push(...leading(factor, fresh, await baseMatrix(factor.module, layout, baseValue)));
      return sortedParams([...fresh, ...own]);
    },
  };
}

/** The same scale s: α / R, or α / √R. */
function ofTwiceTheRank(options: LoraOptions): LoraOptions {
  const forAlpha = options.useRslora ? Math.SQRT2 : 2;
  const times = (factor: number, pattern: Readonly<Record<string, number>>) =>
    Object.fromEntries(Object.entries(pattern).map(([name, value]) => [name, factor * value]));
  return {
    ...options,
    rank: 2 * options.rank,
    alpha: forAlpha * options.alpha,
    rankPattern: times(2, options.rankPattern),
    alphaPattern: times(forAlpha, options.alphaPattern),
  };
}

function leading(
  { a, b, scale }: LowRankFactors,
  params: Params,
  weight: Matrix,
): [string, Tensor<'float32'>][] {
  const rank = params.get(a)!.shape[0]!;
  const { u, s, v } = leadingSvd(weight, rank);
  const roots = s.map((value) => Math.sqrt(value / scale));
  const half = (vectors: Matrix) => withColumns(scaleColumns(vectors, roots), rank);
  const [valueA, valueB] = [tensorOf(half(v).transpose()), tensorOf(half(u))];
  return [
    [a, valueA],
    [b, valueB],
    [initial(a), valueA],
    [initial(b), valueB],
  ];
}

/** [A; A₀] and [B, −B₀]; other tensors as they are. */
function joined(params: Params, factors: readonly LowRankFactors[]): Params {
  const own = [...params].filter(([name]) => !isInitialFactor(name));
  const both = factors.flatMap(({ a, b }) => [
    [a, below(params.get(a)!, params.get(initial(a))!)] as const,
    [b, besideNegative(params.get(b)!, params.get(initial(b))!)] as const,
  ]);
  return new Map([...own, ...both]);
}

function below({ shape, data }: Tensor<'float32'>, other: Tensor<'float32'>): Tensor<'float32'> {
  const both = new Float32Array(2 * data.length);
  both.set(data);
  both.set(other.data, data.length);
  return tensor('float32', [2 * shape[0]!, shape[1]!], both);
}

function besideNegative({ shape, data }: Tensor<'float32'>, other: Tensor<'float32'>): Tensor<'float32'> {
  const [rows, rank] = shape as [number, number];
  const both = new Float32Array(2 * data.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < rank; column++) {
      const at = row * rank + column;
      both[2 * row * rank + column] = data[at]!;
      both[(2 * row + 1) * rank + column] = -other.data[at]!;
    }
  return tensor('float32', [rows, 2 * rank], both);
}

/** What belongs to A and B, of inputs or of their gradients. */
function firstHalves(inputs: Params, factors: readonly LowRankFactors[]): Params {
  const halves = factors.flatMap(({ a, b }) => {
    const [rows, columns] = [inputs.get(a)!.shape, inputs.get(b)!.shape];
    return [
      [a, leadingBlock(inputs.get(a)!, [rows[0]! / 2, rows[1]!])] as const,
      [b, leadingBlock(inputs.get(b)!, [columns[0]!, columns[1]! / 2])] as const,
    ];
  });
  return new Map([...inputs, ...halves]);
}

function secondHalves(inputs: Params, factors: readonly LowRankFactors[]): Params {
  const turned = factors.flatMap(({ a, b }) => [
    [a, swapped(inputs.get(a)!, 'rows')] as const,
    [b, swapped(inputs.get(b)!, 'columns')] as const,
  ]);
  const halves = [...firstHalves(new Map(turned), factors)];
  return new Map(halves.map(([name, value]) => [initial(name), signed(name, value)]));
}

/** The file holds −B₀. */
function signed(name: string, { shape, data }: Tensor<'float32'>): Tensor<'float32'> {
  const sign = name.includes('.lora_B.') ? -1 : 1;
  return tensor(
    'float32',
    shape,
    data.map((x) => sign * x),
  );
}

function swapped({ shape, data }: Tensor<'float32'>, which: 'rows' | 'columns'): Tensor<'float32'> {
  const [rows, columns] = shape as [number, number];
  const width = which === 'rows' ? data.length / 2 : columns / 2;
  const all = new Float32Array(data.length);
  for (let begin = 0; begin < data.length; begin += 2 * width) {
    all.set(data.subarray(begin, begin + width), begin + width);
    all.set(data.subarray(begin + width, begin + 2 * width), begin);
  }
  return tensor('float32', [rows, columns], all);
}
