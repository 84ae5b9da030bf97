/** Performs one piece of the machine's work with a pool and returns the event for the journal. It decides nothing. */

import { HeadwaterError } from '../base/errors.ts';
import type { Sight } from '../federation/attacks/attack.ts';
import { attackStatement } from '../federation/attacks/attackers.ts';
import { cohortRandom, drawEach } from '../federation/cohort.ts';
import type {
  EvaluateWork,
  PublishWork,
  RunEvent,
  TrainArmWork,
  TrainWork,
  UpdateReceived,
  Work,
} from '../federation/events.ts';
import type { RunPlan } from '../federation/plan.ts';
import { summarise } from '../jobs/evaluation-figures.ts';
import type { EvaluationSet } from '../jobs/evaluation-set.ts';
import { exampleTraining } from '../jobs/example-privacy.ts';
import type { AttackJob, OnStep, TrainClientJob } from '../jobs/jobs.ts';
import { simulatedMask, simulatedUnmasking } from '../jobs/masking.ts';
import { ownNoise } from '../jobs/own-noise.ts';
import type { Pool } from '../jobs/pool.ts';
import { releaseOrder, simulatedNoise } from '../jobs/release.ts';
import { answerSet } from '../jobs/scoring.ts';
import { realignment, serverTraining, trainingOptions } from '../jobs/training-options.ts';
import type { Recipe } from '../recipe/schema.ts';
import { plannedExampleStatement } from '../runs/example-privacy.ts';
import { cardText, plannedStatement } from '../runs/privacy.ts';
import { secureAggregationOf } from '../runs/secure-aggregation.ts';
import type { Adversaries } from './adversaries.ts';
import type { Gate } from './gate.ts';

export interface Performer {
  readonly pool: Pool;
  readonly plan: RunPlan;
  readonly recipe: Recipe;
  readonly heldOut: Partial<Readonly<Record<'validation' | 'test', EvaluationSet>>>;
  /** Undefined: everybody does what it should. */
  readonly adversaries?: AdversaryParts | undefined;
  /** Passed by baselines and tests. */
  readonly background: Gate;
  /** Where the result goes. */
  readonly exportFolder: string;
}

export interface AdversaryParts extends Adversaries {
  /** Undefined: they only learn from other examples. */
  readonly sees: Sight | undefined;
}

/**
 * What starts first when several things could: the rounds and their validation, then the long baselines, then tests.
 * Changes how soon something is known, never what.
 */
const RANK: Record<Work['kind'], number> = {
  draw: 0,
  aggregate: 0,
  publish: 0,
  evaluate: 1,
  train: 2,
  'train-arm': 3,
};
const TEST_RANK = 4;

export async function perform(performer: Performer, work: Work, onStep: OnStep): Promise<RunEvent> {
  switch (work.kind) {
    case 'train':
      return orFailure(trainClient(performer, work, onStep), (reason) => {
        const { round, owner } = work;
        return { type: 'client-failed', round, owner, reason };
      });
    case 'train-arm':
      return orFailure(
        performer.background.pass(() => trainArm(performer, work, onStep)),
        (reason) => ({
          type: 'arm-failed',
          arm: work.arm,
          reason,
        }),
      );
    case 'draw': {
      const { round, owners, rate } = work;
      return {
        type: 'cohort-drawn',
        round,
        owners: drawEach(owners, rate, cohortRandom(performer.plan.seed, round)),
      };
    }
    case 'aggregate': {
      const { plan, recipe } = performer;
      const { fixedPoint, serverLearningRate } = plan;
      const release = releaseOrder(plan, work, () => simulatedNoise(plan.seed, work));
      const training = serverTraining(recipe, plan, work.round);
      const unmask = simulatedUnmasking(plan, work);
      const realign = realignment(recipe, plan, work.round);
      const how = { serverLearningRate, training, realign, release, unmask };
      const job = { kind: 'aggregate', work, fixedPoint, ...how } as const;
      const { result, tookMs } = await performer.pool.run(job, RANK.aggregate);
      const { round, membership } = work;
      return { type: 'aggregated', round, membership, ...result, observed: { tookMs } };
    }
    case 'evaluate':
      return work.split === 'test'
        ? performer.background.pass(() => evaluate(performer, work))
        : evaluate(performer, work);
    case 'publish':
      return publish(performer, work);
  }
}

/** An adversary learns, or waits to see what others learnt, and sends something else. */
async function attacked(
  performer: Performer,
  { sees, sight }: AdversaryParts,
  work: TrainWork,
  onStep: OnStep,
): Promise<RunEvent> {
  const { pool, plan } = performer;
  const { round, owner } = work;
  const { masking: _, ...plainly } = work;
  const learnt = sees === 'own' ? await trained(performer, plainly, onStep) : NOTHING_LEARNT;
  const { honestOwners, ...seen } = await sight(round, sees === 'honest');
  const masks = attackMasks(plan, work, honestOwners);
  const own = learnt.result.update;
  const job = { kind: 'attack', seed: plan.seed, round, owner, own, ...seen, ...masks } as const;
  const { result, tookMs } = await pool.run(job, RANK.train);
  const observed = { tookMs: learnt.tookMs + tookMs };
  const told = { ...learnt.result, ...result, ...maskedFacts(work) };
  return { type: 'update-received', round, owner, ...told, observed };
}

/** Simulated masks hide nothing from simulated adversaries, which may know what honest owners send. */
function attackMasks(
  plan: RunPlan,
  work: TrainWork,
  honest: readonly string[],
): Pick<AttackJob, 'mask' | 'honestMasks'> {
  const { masking } = work;
  if (masking === undefined) return {};
  const maskOf = (owner: string) => {
    const { aggregationWeight: weight } = plan.owners.find((other) => other.owner === owner)!;
    return simulatedMask(plan, { ...work, owner, masking: { ...masking, weight } })!;
  };
  return { mask: maskOf(work.owner), honestMasks: honest.map(maskOf) };
}

const NOTHING_LEARNT = {
  result: {
    update: null,
    personal: null,
    downBytes: 0,
    stats: { steps: 0, numExamples: 0, numTokens: 0, numTargets: 0, meanLoss: null, lastLoss: null },
  },
  tookMs: 0,
};

async function trainClient(performer: Performer, work: TrainWork, onStep: OnStep): Promise<RunEvent> {
  const { plan, adversaries } = performer;
  if (adversaries?.sees !== undefined && adversaries.attacks(work.owner, work.round))
    return attacked(performer, adversaries, work, onStep);
  const { result, tookMs } = await trained(performer, work, onStep);
  const measured = plan.selection === undefined ? {} : { trainedMs: tookMs };
  const { round, owner } = work;
  const told = { ...result, ...measured, ...maskedFacts(work) };
  return { type: 'update-received', round, owner, ...told, observed: { tookMs } };
}

function maskedFacts({ masking }: TrainWork): Pick<UpdateReceived, 'masked'> {
  if (masking === undefined) return {};
  const { attempt, weight } = masking;
  return { masked: { attempt, weight } };
}

function trained(
  { pool, plan, recipe }: Performer,
  work: TrainWork,
  onStep: OnStep,
): ReturnType<typeof pool.run<TrainClientJob>> {
  const { round, owner, params, personal, clipNorm } = work;
  const mask = simulatedMask(plan, work);
  const { numExamples } = plan.owners.find((one) => one.owner === owner)!;
  const options = {
    ...trainingOptions(recipe, work, [plan.seed, owner, round, 'train']),
    ...exampleTraining(recipe, { numExamples }, 'simulated'),
  };
  const job = {
    kind: 'train-client',
    seed: plan.seed,
    round,
    owner,
    params,
    personal,
    options,
    clipNorm,
    ownNoise: ownNoise(recipe, plan.quorum, work.masking, 'simulated'),
    mask,
  } as const;
  return pool.run(job, RANK.train, onStep);
}

async function trainArm(
  { pool, plan, recipe }: Performer,
  work: TrainArmWork,
  onStep: OnStep,
): Promise<RunEvent> {
  const { arm, owners, params, steps } = work;
  const amounts = { steps, stepOffset: 0, totalSteps: steps };
  const options = trainingOptions(recipe, amounts, [plan.seed, 'arm', arm, 'train']);
  const job = { kind: 'train-arm', arm, owners, params, options } as const;
  const { result, tookMs } = await pool.run(job, RANK['train-arm'], onStep);
  return { type: 'arm-trained', arm, ...result, observed: { tookMs } };
}

async function evaluate({ pool, recipe, heldOut }: Performer, work: EvaluateWork): Promise<RunEvent> {
  const { evaluation, split, params, personal } = work;
  const set = heldOut[split]!;
  const rank = split === 'test' ? TEST_RANK : RANK.evaluate;
  const { answers, tookMs } = await answerSet(pool, set, { split, params, personal }, recipe, rank);
  return { type: 'evaluated', evaluation, result: summarise(set, answers), observed: { tookMs } };
}

async function publish(
  { pool, exportFolder, plan, recipe }: Performer,
  { params }: PublishWork,
): Promise<RunEvent> {
  const { examplePrivacy, attack, owners } = plan;
  const privacy = plannedStatement(plan);
  const statements = [
    ...(attack === undefined ? [] : [attackStatement(attack, owners.length)]),
    ...(privacy === undefined ? [] : [privacy]),
    ...(examplePrivacy === undefined ? [] : [plannedExampleStatement(plan, examplePrivacy)]),
    ...[secureAggregationOf(plan)?.statement].filter((statement) => statement !== undefined),
  ];
  const card = statements.length === 0 ? undefined : cardText(recipe.name, statements.join('\n\n'));
  const { tookMs } = await pool.run({ kind: 'export', params, folder: exportFolder, card }, RANK.publish);
  return { type: 'published', observed: { tookMs } };
}

/** A client whose training diverges loses its round, a baseline its place in the table; other errors end the run. */
async function orFailure(event: Promise<RunEvent>, failed: (reason: string) => RunEvent): Promise<RunEvent> {
  try {
    return await event;
  } catch (error) {
    if (error instanceof HeadwaterError && error.code === 'TRAINING_DIVERGED') return failed(error.message);
    throw error;
  }
}
