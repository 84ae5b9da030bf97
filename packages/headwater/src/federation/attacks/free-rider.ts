/**
 * Free-riders: they train nothing, want the model and send something that looks like work. Plain and disguised: Fraboni et al.,
 * AISTATS 2021, arXiv:2006.11901; delta weights, with and without noise: Lin et al. 2019, arXiv:1911.12560. With `from` they are
 * honest at first, as in Nakamura 2026, arXiv:2604.04611.
 */

import { z } from 'zod';
import type { Rng } from '../../base/random.ts';
import { type Attack, type AttackView, attackers, type Vector } from './attack.ts';
import { dot, plus, times } from './vectors.ts';

const options = z.strictObject({
  owners: attackers,
  sends: z
    .enum(['zero', 'noise', 'gaussian', 'echo', 'noisy-echo', 'copy'])
    .describe(
      'zero: the params as they came. noise: these and noise that fades. gaussian: noise as long as honest updates. echo: what the last round changed in the params. noisy-echo: the same and noise. copy: an honest owner’s update.',
    ),
  from: z.int().positive().default(1).describe('Round from which they do so; before it they are honest.'),
  deviation: z
    .number()
    .positive()
    .default(1e-3)
    .describe('σ of noise in round 1, and of echoes where nothing has moved yet.'),
  decay: z.number().nonnegative().default(1).describe('noise: its deviation in round t is σ · t^−decay.'),
  noise: z
    .number()
    .positive()
    .default(0.3)
    .describe('noisy-echo: length of the noise over that of the echo.'),
});

type Options = z.infer<typeof options>;

export const freeRider: Attack<Options> = {
  id: 'free-rider',
  summary: 'trains nothing and sends what looks like an update',
  source: 'Fraboni et al., AISTATS 2021, arXiv:2006.11901; Lin et al. 2019, arXiv:1911.12560',
  options,
  sees: ({ sends }) => (sends === 'gaussian' || sends === 'copy' ? 'honest' : 'before'),
  from: ({ from }) => from,
  craft: (view, options) => CRAFTS[options.sends](view, options),
};

const CRAFTS: Record<Options['sends'], (view: AttackView, options: Options) => Vector> = {
  zero: ({ size }) => new Float64Array(size),
  noise: ({ size, random, round }, { deviation, decay }) => normal(size, random, deviation * round ** -decay),
  gaussian: ({ size, random, honest }) => ofLength(normal(size, random, 1), meanLength(honest)),
  echo: (view, { deviation }) => view.moved ?? normal(view.size, view.random, deviation),
  'noisy-echo': ({ size, random, moved }, { deviation, noise }) =>
    moved === undefined
      ? normal(size, random, deviation)
      : plus(moved, ofLength(normal(size, random, 1), noise * lengthOf(moved)), 1),
  copy: ({ honest, random }) => honest[random.below(honest.length)]!,
};

function normal(size: number, random: Rng, deviation: number): Vector {
  return Float64Array.from({ length: size }, () => deviation * random.normal());
}

function lengthOf(vector: Vector): number {
  return Math.sqrt(dot(vector, vector));
}

function ofLength(vector: Vector, length: number): Vector {
  return times(vector, length / (lengthOf(vector) || 1));
}

function meanLength(vectors: readonly Vector[]): number {
  return vectors.reduce((sum, vector) => sum + lengthOf(vector), 0) / vectors.length;
}
