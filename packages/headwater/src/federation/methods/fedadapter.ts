/**
 * FedAdapter: bottleneck adapters that grow while they learn (Cai et al., MobiCom 2023, arXiv:2205.10162): at first few and
 * narrow at the top of the network, then in more blocks below and wider. Only the adapters that are there are trained and
 * travel, and nothing below them is differentiated. Growth keeps the function: new rows of D are drawn, the columns of U that
 * read them are zero. The tuning's width (`reductionFactor`) and its blocks are what they can grow to.
 *
 * Reconstructed as a schedule: the paper decides at run time, between groups of clients that try staying, deeper and wider,
 * by accuracy gained per time. Not reproduced: activations of the frozen lower blocks are computed anew, not cached.
 */

import { z } from 'zod';
import { HeadwaterError } from '../../base/errors.ts';
import { rng } from '../../base/random.ts';
import { type Params, sizeOf, type Tensor, tensor } from '../../base/tensor.ts';
import type { TrainableTensor } from '../../tuning/kind.ts';
import { adaptedLayers, layerOf } from '../adapted-layers.ts';
import { leadingBlock, paddedTo } from '../blocks.ts';
import { standardRound } from '../local-round.ts';
import { fedAvgStep, type Method } from '../method.ts';
import { needsRounds } from '../needs.ts';
import { selectParams } from '../params.ts';

const options = z.strictObject({
  depth: z.int().positive().default(1).describe('Blocks with adapters at first, from the top.'),
  width: z.int().positive().default(8).describe('Inner width of the adapters at first.'),
  growEvery: z.int().positive().default(5).describe('Rounds between growths: deeper and wider in turn.'),
  deeperBy: z.int().positive().default(1).describe('Blocks.'),
  widerBy: z.int().positive().default(8),
});

type FedAdapterOptions = z.infer<typeof options>;

export const fedadapter: Method<FedAdapterOptions> = {
  id: 'fedadapter',
  summary: 'bottleneck adapters that grow from the top, deeper and wider, while they learn',
  source: 'Cai et al., MobiCom 2023, arXiv:2205.10162',
  options,
  secureAggregation: 'yes',
  exampleLevel: 'yes',
  exceptions: { 'one-owner': 'adapters that have not grown yet are not trained' },
  preconditions: (facts) => [
    ...(facts.tensors.some(({ name }) => partOf(name) !== undefined)
      ? []
      : ['it grows bottleneck adapters: choose tuning.kind adapter']),
    ...needsRounds(facts),
    ...(facts.compression === 'top-k'
      ? ['what top-k leaves out has another size after a growth; use float16, int8 or none']
      : []),
  ],
  tuning: (bound) => ({ ...bound, extend: refuseAdapter }),
  initialParams: async (params, _context, { width }) =>
    new Map([...params].map(([name, value]) => [name, withoutRows(name, value, width)])),
  wire: (tensors, round, _owner, given) => present(tensors, round, given),
  encodeUp: (update, { round }, given) => cutTo(update, round, given),
  receivesAs: () => 'all',
  encodeDown: (params, { round }, given) => {
    const tensors = [...params].map(([name, { shape }]) => ({ name, shape }));
    const here = new Set(present(tensors, round, given).map(({ name }) => name));
    return cutTo(
      selectParams(params, (name) => here.has(name)),
      round,
      given,
    );
  },
  client: (local) => {
    const here = new Set(local.wire.map(({ name }) => name));
    const frozen = new Set([...local.start.keys()].filter((name) => !here.has(name)));
    return standardRound(local, { frozen });
  },
  serverStep(input) {
    const { round, params, aggregate, options: given } = input;
    const next = fedAvgStep({ ...input, aggregate: unpacked(aggregate, params, round, given) });
    return { params: grown(next.params, sizeAt(round, given).width, sizeAt(round + 1, given).width) };
  },
};

function refuseAdapter(): never {
  throw new HeadwaterError(
    'OPTION_INVALID',
    'fedadapter begins with fresh, narrow adapters, not with a trained one',
    {
      hint: 'Leave out `adapter`, or train the adapter on with another method.',
    },
  );
}

interface Size {
  readonly depth: number;
  readonly width: number;
}

/** After n = ⌊(round − 1) / growEvery⌋ growths, of which the first is a deeper one. */
function sizeAt(round: number, given: FedAdapterOptions): Size {
  const growths = Math.floor((round - 1) / given.growEvery);
  return {
    depth: given.depth + Math.ceil(growths / 2) * given.deeperBy,
    width: given.width + Math.floor(growths / 2) * given.widerBy,
  };
}

type Part = 'down.weight' | 'down.bias' | 'up.weight' | 'up.bias';

function partOf(name: string): Part | undefined {
  return /\.adapter_((?:down|up)\.(?:weight|bias))$/.exec(name)?.[1] as Part | undefined;
}

/** D [M, E], d [M] and U [E, M] with the first `width` of M. */
function shapeAt({ name, shape }: TrainableTensor, width: number): readonly number[] {
  const part = partOf(name);
  const [first, second] = shape as [number, number];
  if (part === 'down.weight') return [Math.min(first, width), second];
  if (part === 'down.bias') return [Math.min(first, width)];
  return part === 'up.weight' ? [first, Math.min(second, width)] : shape;
}

/** The tensors of the uppermost blocks, as narrow as they are in this round, and what lies in no block. */
function present(
  tensors: readonly TrainableTensor[],
  round: number,
  given: FedAdapterOptions,
): TrainableTensor[] {
  const { depth, width } = sizeAt(round, given);
  const layers = new Set(adaptedLayers(tensors).slice(-depth));
  return tensors
    .filter((own) => layerOf(own) === undefined || layers.has(layerOf(own)!))
    .map((own) => ({ name: own.name, shape: shapeAt(own, width) }));
}

function cutTo(params: Params, round: number, given: FedAdapterOptions): Params {
  const { width } = sizeAt(round, given);
  return new Map(
    [...params].map(([name, value]) => [
      name,
      leadingBlock(value, shapeAt({ name, shape: value.shape }, width)),
    ]),
  );
}

/** A sum knows whole tensors only: the elements that came are its first ones. */
function unpacked(sum: Params, params: Params, round: number, given: FedAdapterOptions): Params {
  const { width } = sizeAt(round, given);
  const blocks = [...sum].map(([name, { data }]) => {
    const shape = shapeAt({ name, shape: params.get(name)!.shape }, width);
    return [name, tensor('float32', shape, data.slice(0, sizeOf(shape)))] as const;
  });
  return paddedTo(params, new Map(blocks));
}

/** D with zeros from row `width` on. */
function withoutRows(name: string, value: Tensor<'float32'>, width: number): Tensor<'float32'> {
  if (partOf(name) !== 'down.weight') return value;
  const kept = width * value.shape[1]!;
  return { ...value, data: value.data.map((x, i) => (i < kept ? x : 0)) };
}

/** Rows `from` … `to` − 1 of every D are drawn: U(−1/√E, 1/√E). */
function grown(params: Params, from: number, to: number): Params {
  if (to <= from) return params;
  return new Map([...params].map(([name, value]) => [name, withRows(name, value, from, to)]));
}

function withRows(name: string, value: Tensor<'float32'>, from: number, to: number): Tensor<'float32'> {
  if (partOf(name) !== 'down.weight') return value;
  const [rows, columns] = value.shape as [number, number];
  const data = value.data.slice();
  for (let row = from; row < Math.min(to, rows); row++) {
    const random = rng('fedadapter', name, row);
    for (let column = 0; column < columns; column++)
      data[row * columns + column] = (2 * random.uniform() - 1) / Math.sqrt(columns);
  }
  return tensor('float32', value.shape, data);
}
