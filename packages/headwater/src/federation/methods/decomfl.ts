/**
 * DeComFL: nothing but scalars travels, whatever the model's size (Li et al., ICLR 2025, arXiv:2405.15861). All clients take
 * step k of round t along the same directions z_{t,k,p} and send c_{k,p} = −lr · g_{k,p} / P, the slopes on their own data
 * at their own points; the server averages scalar by scalar and adds a row to its record, and everybody replays
 * θ ← θ + Σ_k Σ_p c̄_{t,k,p} · z_{t,k,p} from the base, one step after the other in float32: all replicas have the same bits.
 *
 * A client is given the record of all rounds so far, at most rounds · steps · P scalars, as the paper gives one that was away;
 * the paper's clients keep a replica and fetch only what they missed. A worker continues the replica that it has.
 */

import { z } from 'zod';
import { assert } from '../../base/errors.ts';
import { type Params, type Tensor, tensor } from '../../base/tensor.ts';
import { addDirection, type Distribution, distribution } from '../directions.ts';
import type { LocalOutcome, LocalRound } from '../local-round.ts';
import type { Method } from '../method.ts';
import { needsRounds } from '../needs.ts';
import { asBase, keyOf, replayedTuning, seedUnder } from '../replayed-tuning.ts';
import { displaced, slopeAlong } from '../zeroth-order.ts';
import { needsPlainSteps } from '../zeroth-order-needs.ts';

const options = z.strictObject({
  epsilon: z.number().positive().default(1e-3).describe('ε: how far from θ losses are taken.'),
  perturbations: z.int().positive().default(10).describe('P: directions in a step; two forward passes each.'),
  distribution,
});

type Options = z.infer<typeof options>;

const KEY = 'decomfl.key';
/** [rounds, steps · P]; rows of rounds to come are zero. */
const RECORD = 'decomfl.record';
/** [steps · P], what a client sends. */
const SCALARS = 'decomfl.scalars';

export const decomfl: Method<Options> = {
  id: 'decomfl',
  summary: 'no backpropagation; only scalars travel, all replay the same steps',
  source: 'Li et al., ICLR 2025, arXiv:2405.15861',
  options,
  secureAggregation: 'yes',
  exceptions: { 'one-owner': 'gradients are estimated from losses' },
  preconditions: (facts) => [...needsPlainSteps(facts), ...needsRounds(facts)],
  tuning(bound, _layout, { perturbations, distribution: kind }, run) {
    assert(run !== undefined, 'the record has as many rows as the run has rounds');
    const shape = [run.rounds, run.localSteps * perturbations];
    return replayedTuning(bound, {
      scalars: [{ name: RECORD, shape }],
      key: KEY,
      replay: continuedReplay(kind),
    });
  },
  selectTrainable: ({ name }) => (name === RECORD ? 'given' : 'frozen'),
  wire: (tensors) =>
    tensors.flatMap(({ name, shape }) => (name === RECORD ? [{ name: SCALARS, shape: shape.slice(1) }] : [])),
  receivesAs: () => 'all',
  encodeDown(params, { round }) {
    const { shape, data } = params.get(RECORD)!;
    const rows = round - 1;
    if (rows === 0) return new Map();
    const perRound = shape[1]!;
    return new Map([[RECORD, tensor('float32', [rows, perRound], data.slice(0, rows * perRound))]]);
  },
  client: clientRound,
  serverStep({ round, params, aggregate, serverLearningRate }) {
    const { shape, data } = params.get(RECORD)!;
    const record = data.slice();
    const row = aggregate.get(SCALARS)!.data;
    for (const [i, value] of row.entries())
      record[(round - 1) * row.length + i]! += serverLearningRate * value;
    return { params: new Map([...params, [RECORD, tensor('float32', shape, record)]]) };
  },
};

async function clientRound(
  local: LocalRound,
  { epsilon, perturbations, distribution: kind }: Options,
): Promise<LocalOutcome> {
  const { start, round, steps } = local;
  const key = keyOf(start.get(KEY)!);
  const scalars = new Float32Array(steps * perturbations);
  const losses: number[] = [];
  let model = local.inputs(start);
  for (let step = 0; step < steps; step++) {
    const at = (point: Params) => local.loss(asBase(start, point, [RECORD]), step);
    const here = model;
    let total = 0;
    for (let p = 0; p < perturbations; p++) {
      const i = step * perturbations + p;
      const seed = seedUnder(key, (round - 1) * scalars.length + i);
      const direction = { seed, kind, covers: () => true };
      const { slope, loss } = await slopeAlong(at, here, direction, epsilon);
      scalars[i] = (-local.learningRate * slope) / perturbations;
      model = displaced(model, direction, scalars[i]!);
      total += loss;
    }
    losses.push(total / perturbations);
  }
  const update = new Map([[SCALARS, tensor('float32', [scalars.length], scalars)]]);
  return { update, stats: local.statsOf(losses) };
}

interface Replica {
  readonly base: Params;
  readonly record: Float32Array;
  readonly model: Params;
}

/** Steps in their order, each rounded to float32. A replica of an earlier round is taken on from where it is. */
function continuedReplay(kind: Distribution): (base: Params, scalars: Params, key: number) => Params {
  let known: Replica | undefined;
  return (base, scalars, key) => {
    const record = scalars.get(RECORD)!.data;
    const from = known !== undefined && sameValues(known.base, base) ? playedBefore(known.record, record) : 0;
    const begin = from === 0 ? base : known!.model;
    const model = new Map([...begin].map(([name, value]) => [name, played(value, name, from)] as const));
    function played({ shape, data }: Tensor<'float32'>, name: string, first: number): Tensor<'float32'> {
      const values = data.slice();
      for (let i = first; i < record.length; i++)
        if (record[i] !== 0) addDirection(values, record[i]!, seedUnder(key, i), name, kind);
      return tensor('float32', shape, values);
    }
    known = { base, record, model };
    return model;
  };
}

/** Length of the record that an earlier one has in common; 0 unless that one holds nothing else. */
function playedBefore(earlier: Float32Array, record: Float32Array): number {
  let end = earlier.length;
  while (end > 0 && earlier[end - 1] === 0) end--;
  for (let i = 0; i < end; i++) if (earlier[i] !== record[i]) return 0;
  return end;
}

function sameValues(a: Params, b: Params): boolean {
  return [...a].every(([name, { data }]) => {
    const other = b.get(name)?.data;
    return other === data || (other !== undefined && data.every((value, i) => value === other[i]));
  });
}
