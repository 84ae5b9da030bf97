/**
 * A client's round where every round begins from factors of its own and ends in the base: A as fresh as at the start, B = 0,
 * both sent whole. What the server makes of the cohort's stack is its own affair.
 */

import { type Params, type Tensor, tensor, zeros } from '../base/tensor.ts';
import { zeroPadded } from './blocks.ts';
import type { LocalOutcome, LocalRound } from './local-round.ts';
import { loraFactor } from './lora-factors.ts';
import { differenceOf, overlaid, selectParams } from './params.ts';

const isFactor = (name: string) => loraFactor(name) !== undefined;

/** Factors travel as they are, other trained tensors as differences. */
export async function stackedRound(local: LocalRound): Promise<LocalOutcome> {
  const start = overlaid(local.start, freshFactors(local));
  const { params, stats } = await local.train(start);
  const travels = new Set(local.wire.map(({ name }) => name));
  const others = (of: Params) => selectParams(of, (name) => travels.has(name) && !isFactor(name));
  const moved = differenceOf(others(params), others(start));
  const sent = [...params].filter(([name]) => travels.has(name));
  return { update: new Map(sent.map(([name, value]) => [name, moved.get(name) ?? value])), stats };
}

/** `encodeDown`: factors are made by the client itself. */
export function withoutFactors(params: Params): Params {
  return selectParams(params, (name) => !isFactor(name));
}

/** A ~ U(−1/√D, 1/√D) in the owner's rows, B = 0. */
function freshFactors({ wire, start, random }: LocalRound): Params {
  const stream = random('fresh-factors');
  const fresh = wire
    .filter(({ name }) => isFactor(name))
    .map(({ name, shape }) => {
      const value = loraFactor(name) === 'A' ? uniform(shape) : zeros('float32', shape);
      return [name, zeroPadded(value, start.get(name)!.shape)] as const;
    });
  return new Map(fresh);

  function uniform(shape: readonly number[]): Tensor<'float32'> {
    const [rank, inFeatures] = shape as [number, number];
    const bound = 1 / Math.sqrt(inFeatures);
    const values = Array.from({ length: rank * inFeatures }, () => (2 * stream.uniform() - 1) * bound);
    return tensor('float32', shape, Float32Array.from(values));
  }
}
