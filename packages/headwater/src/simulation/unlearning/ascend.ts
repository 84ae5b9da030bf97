/**
 * Unlearning with the owner’s help, on its examples: projected gradient ascent (Halimi et al. 2022, arXiv:2207.05521) and negative
 * preference optimisation (Zhang et al. 2024, arXiv:2404.05868), then a round of those who remain. Both stop when the loss on what
 * the owner trained on is that on examples like them which nobody trained on: more is no forgetting but damage. Nothing is proven.
 */

import { rng, shuffled } from '../../base/random.ts';
import { type Params, type Tensor, tensor } from '../../base/tensor.ts';
import type { TokenizedExample } from '../../data/types.ts';
import { addScaled, differenceOf, l2Norm, scaled } from '../../federation/params.ts';
import { npoWeight, projected, withoutPart } from '../../federation/unlearning/steps.ts';
import { clipToNorm, globalNorm } from '../../training/clip.ts';
import type { Engine } from '../../training/engine.ts';
import { initialState, optimizerStep } from '../../training/optimizers/optimizer.ts';
import { optimizers } from '../../training/optimizers/registry.ts';
import { meanUpdate, othersIn, requirePlainMean, type Trainers } from './local-rounds.ts';
import { firstRoundOf } from './stored-run.ts';

export interface AscendOptions {
  readonly kind: 'ascent' | 'npo';
  /** Optimizer steps at most. */
  readonly steps: number;
  /** Of the recipe’s learning rate: adapters that took many steps are lost in a few. */
  readonly rate: number;
  /** β of NPO. */
  readonly beta: number;
  /** Rounds of the others afterwards. */
  readonly repair: number;
}

export interface ForgetSet {
  /** What the owner trained on. */
  readonly examples: readonly TokenizedExample[];
  /** Like them, and trained on by nobody; empty where there are none. */
  readonly unseen: readonly TokenizedExample[];
}

export interface Ascent {
  readonly params: Params;
  readonly steps: number;
}

/** Gradients are clipped to this length, as in the authors’ code. */
const MAX_NORM = 5;

export async function ascended(
  trainers: Trainers,
  engine: Pick<Engine, 'gradients' | 'loss' | 'score'>,
  { examples, unseen }: ForgetSet,
  owner: string,
  options: AscendOptions,
): Promise<Ascent> {
  const { stored } = trainers;
  requirePlainMean(stored, options.kind);
  const { closed, plan } = stored.state;
  const first = firstRoundOf(stored.state, owner);
  const last = await stored.params(closed.length);
  if (first === undefined) return { params: last, steps: 0 };
  const ball = options.kind === 'ascent' ? await ballOf(trainers, owner) : undefined;
  const begin = ball?.centre ?? last;
  const climb = { engine, examples, unseen, begin, ball, reference: await stored.params(first - 1), options };
  let { params, steps } = await climbed(trainers, climb);
  for (let i = 0; i < options.repair; i++) {
    const owners = othersIn(stored, closed.length, owner);
    const update = await meanUpdate(trainers, { round: closed.length, owners, params, share: 1 });
    params = addScaled(params, update, plan.serverLearningRate);
  }
  return { params, steps };
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

interface Climb extends ForgetSet {
  readonly engine: Pick<Engine, 'gradients' | 'loss' | 'score'>;
  readonly begin: Params;
  readonly ball: Ball | undefined;
  /** Before the owner took part: where its loss comes back to where there is nothing unseen. */
  readonly reference: Params;
  readonly options: AscendOptions;
}

async function climbed({ stored }: Trainers, climb: Climb): Promise<Ascent> {
  const { engine, examples, unseen, ball, options } = climb;
  const { training, data, evaluation, seed } = stored.prepared.recipe;
  const measure = { batchSize: evaluation.batchSize, maxLength: data.maxLength };
  const target =
    unseen.length === 0
      ? await engine.loss(climb.reference, examples, measure)
      : await engine.loss(climb.begin, unseen, measure);
  const rate = options.rate * training.optimizer.learningRate;
  const optimizer = optimizers[training.optimizer.kind];
  // A copy: the optimizer writes into it.
  let params = scaled(climb.begin, 1);
  const state = initialState(optimizer, params, training.optimizer);
  const order = shuffled([...examples.keys()], rng(seed, 'unlearn', options.kind));
  let steps = 0;
  while (steps < options.steps) {
    if ((await engine.loss(params, examples, measure)) >= target) break;
    const taken = Array.from(
      { length: training.batchSize },
      (_, i) => examples[order[(steps * training.batchSize + i) % order.length]!]!,
    );
    const grads = await forgettingGradient(climb, params, taken, measure);
    clipToNorm(grads, globalNorm(grads), MAX_NORM);
    optimizerStep(optimizer, params, grads, state, training.optimizer, rate);
    if (ball !== undefined) params = overwrite(params, projected(params, ball.centre, ball.radius));
    steps += 1;
  }
  return { params, steps };
}

/** Of what descent shall make small: −(mean loss), or that of NPO. */
async function forgettingGradient(
  { engine, begin, options }: Climb,
  params: Params,
  taken: readonly TokenizedExample[],
  measure: { readonly batchSize: number; readonly maxLength: number },
): Promise<Params> {
  if (options.kind === 'ascent') return scaled((await engine.gradients(params, taken, measure)).grads, -1);
  const [now, before] = [
    await engine.score(params, taken, measure),
    await engine.score(begin, taken, measure),
  ];
  let sum: Params | undefined;
  for (const [i, example] of taken.entries()) {
    const weight = npoWeight(before[i]!.nll - now[i]!.nll, options.beta) / taken.length;
    const { grads } = await engine.gradients(params, [example], measure);
    const own = scaled(grads, -weight);
    sum = sum === undefined ? own : addScaled(sum, own, 1);
  }
  return sum!;
}

/** In place: the optimizer’s state belongs to these arrays. */
function overwrite(params: Params, values: Params): Params {
  for (const [name, { data }] of params) data.set(values.get(name)!.data);
  return params;
}
