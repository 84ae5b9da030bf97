/**
 * Unlearning with the owner’s help, on its examples: projected gradient ascent (Halimi et al. 2022, arXiv:2207.05521) and negative
 * preference optimisation (Zhang et al. 2024, arXiv:2404.05868), then a round of those who remain. Steps along the gradient have a
 * length of their own and not an optimizer’s, so that one that went too far can be taken back. Nothing is proven.
 */

import { rng, shuffled } from '../../base/random.ts';
import { type Params, type Tensor, tensor } from '../../base/tensor.ts';
import type { TokenizedExample } from '../../data/types.ts';
import { addScaled, differenceOf, l2Norm } from '../../federation/params.ts';
import { npoWeight, projected, withoutPart } from '../../federation/unlearning/steps.ts';
import { forgettingTarget } from './forgetting-target.ts';
import { meanUpdate, othersIn, requirePlainMean, type Trainers } from './local-rounds.ts';
import type { Bench } from './measure.ts';
import { judged, type Restraint, restraintOf } from './restraint.ts';
import { firstRoundOf } from './stored-run.ts';

export interface AscendOptions {
  readonly kind: 'ascent' | 'npo';
  /** Steps at most. */
  readonly steps: number;
  /** Length of the first step, over how far the run went in all. */
  readonly rate: number;
  /** β of NPO. */
  readonly beta: number;
  /** Rounds of the others afterwards. */
  readonly repair: number;
  /** By how much the others’ validation loss may grow. */
  readonly tolerance: number;
}

export interface Ascent {
  readonly params: Params;
  /** Steps that were kept. */
  readonly steps: number;
  readonly ended: 'forgotten' | 'held-back' | 'steps';
}

/** Examples of a step. */
const ROWS = 32;
/** Steps are halved so often before nothing more can be gained. */
const HALVINGS = 6;

export async function ascended(
  trainers: Trainers,
  bench: Bench,
  owner: string,
  options: AscendOptions,
): Promise<Ascent> {
  const { stored } = trainers;
  requirePlainMean(stored, options.kind);
  const { closed, plan } = stored.state;
  const first = firstRoundOf(stored.state, owner);
  const last = await stored.params(closed.length);
  if (first === undefined) return { params: last, steps: 0, ended: 'forgotten' };
  const ball = options.kind === 'ascent' ? await ballOf(trainers, owner) : undefined;
  const begin = ball?.centre ?? last;
  const target = (await forgettingTarget(stored, bench, owner, begin))!;
  const before = await bench.losses([{ params: last, weight: 1 }]);
  const restraint = restraintOf(target, before, options.tolerance);
  const firstStep = options.rate * l2Norm(differenceOf(last, await stored.params(0)));
  const climb = { bench, begin, ball, restraint, firstStep, options, seed: plan.seed };
  let { params, ...how } = await climbed(climb);
  for (let i = 0; i < options.repair; i++) {
    const owners = othersIn(stored, closed.length, owner);
    const update = await meanUpdate(trainers, { round: closed.length, owners, params, share: 1 });
    params = addScaled(params, update, plan.serverLearningRate);
  }
  return { params, ...how };
}

interface Ball {
  readonly centre: Params;
  readonly radius: number;
}

/**
 * Around the last round without the owner: w_ref = w_{T−1} + η (Δ̄ − p Δ_c) / (1 − p). Its radius is a third of how far the run
 * went in all; the paper’s is a third of the distance of random models, which adapters that begin at zero have not.
 */
async function ballOf({ stored }: Trainers, owner: string): Promise<Ball> {
  const { closed, plan, roster } = stored.state;
  const last = closed.length;
  const before = await stored.params(last - 1);
  const after = await stored.params(last);
  const centre = Object.hasOwn(closed[last - 1]!.members, owner)
    ? addScaled(before, await withoutOwner(), plan.serverLearningRate)
    : after;
  const radius = l2Norm(differenceOf(centre, await stored.params(0))) / 3;
  return { centre, radius };

  async function withoutOwner(): Promise<Params> {
    const names = Object.keys(closed[last - 1]!.members);
    const total = names.reduce((sum, name) => sum + roster[name]!.aggregationWeight, 0);
    const own = await stored.update(last, owner);
    const moved = differenceOf(after, before);
    const mean = new Map(
      [...own.keys()].map((name) => [name, divided(moved.get(name)!, plan.serverLearningRate)] as const),
    );
    return withoutPart(mean, own, roster[owner]!.aggregationWeight / total);
  }
}

function divided({ shape, data }: Tensor<'float32'>, by: number): Tensor<'float32'> {
  return tensor(
    'float32',
    shape,
    data.map((x) => x / by),
  );
}

interface Climb {
  readonly bench: Bench;
  readonly begin: Params;
  readonly ball: Ball | undefined;
  readonly restraint: Restraint;
  /** Its length. */
  readonly firstStep: number;
  readonly options: AscendOptions;
  readonly seed: number;
}

/** A step that goes too far is taken back, and the next is half as long. */
async function climbed(climb: Climb): Promise<Ascent> {
  const { bench, begin, ball, restraint, firstStep, options, seed } = climb;
  const judge = async (of: Params) => judged(await bench.losses([{ params: of, weight: 1 }]), restraint);
  const order = shuffled([...bench.examples.keys()], rng(seed, 'unlearn', options.kind));
  let [params, length, steps] = [begin, firstStep, 0];
  let verdict = await judge(begin);
  for (let tried = 0; tried < options.steps && verdict === 'on'; tried++) {
    if (length < firstStep / 2 ** HALVINGS) return { params, steps, ended: 'held-back' };
    const taken = Array.from(
      { length: Math.min(ROWS, order.length) },
      (_, i) => bench.examples[order[(tried * ROWS + i) % order.length]!]!,
    );
    const gradient = await forgettingGradient(climb, params, taken);
    const stepped = addScaled(params, gradient, length / (l2Norm(gradient) || 1));
    const candidate = ball === undefined ? stepped : projected(stepped, ball.centre, ball.radius);
    const judgement = await judge(candidate);
    if (judgement === 'too-far') {
      length /= 2;
      continue;
    }
    [params, verdict] = [candidate, judgement];
    steps += 1;
  }
  return {
    params,
    steps,
    ended: verdict === 'on' ? 'steps' : verdict === 'enough' ? 'forgotten' : 'held-back',
  };
}

/** Along it the loss on what is to be forgotten grows: Σ wₑ ∇ −log p(e), with the weights of NPO, or 1. */
async function forgettingGradient(
  { bench, begin, options }: Climb,
  params: Params,
  taken: readonly TokenizedExample[],
): Promise<Params> {
  if (options.kind === 'ascent')
    return bench.gradients(
      params,
      taken,
      taken.map(() => 1),
    );
  const settings = { batchSize: ROWS, maxLength: Math.max(...taken.map(({ tokens }) => tokens.length)) };
  const now = await bench.engine.score(params, taken, settings);
  const then = await bench.engine.score(begin, taken, settings);
  const weights = taken.map((_, i) => npoWeight(then[i]!.nll - now[i]!.nll, options.beta));
  return bench.gradients(params, taken, weights);
}
