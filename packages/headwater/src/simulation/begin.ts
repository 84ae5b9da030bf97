/** How a run begins (its plan becomes the first event) or is taken up again (only if it is the same run). */

import type { Clock } from '../base/clock.ts';
import { planAttack } from '../federation/attacks/attackers.ts';
import type { RunEvent } from '../federation/events.ts';
import { createPlan, meanSteps, type RunPlan } from '../federation/plan.ts';
import { plannedSelection } from '../federation/selection/registry.ts';
import { accountabilityOf } from '../jobs/accountability.ts';
import { examplePrivacy } from '../jobs/example-privacy.ts';
import type { InitResult } from '../jobs/jobs.ts';
import { plannedSecureAggregation } from '../jobs/masking.ts';
import type { Pool } from '../jobs/pool.ts';
import type { PreparedRun } from '../jobs/prepare.ts';
import { numExamplesOf } from '../jobs/public-data.ts';
import {
  bindRecipeAttack,
  bindRecipeMethod,
  clientFacts,
  clientPrivacy,
  type RunRegistries,
} from '../jobs/records.ts';
import { releaseRuleOf } from '../jobs/release-rule.ts';
import { localEpochsOf } from '../jobs/training-options.ts';
import { planArms } from '../runs/baselines.ts';
import { describeEnvironment } from '../runs/environment.ts';
import { appendEvent, eventsOf, stamped } from '../runs/journal-events.ts';
import { checkSameRun, type Provenance, provenanceOf } from '../runs/provenance.ts';
import type { OpenRun } from '../runs/run-folder.ts';
import type { Journal } from '../storage/journal.ts';

/** Throws RUN_EXISTS when the folder holds another run; what the plan throws: RECIPE_INVALID, AGGREGATION_OVERFLOW. */
export async function beginOrResume(
  { journal, begun, folder }: OpenRun,
  prepared: PreparedRun,
  registries: RunRegistries,
  pool: Pool,
  clock: Clock,
): Promise<RunPlan> {
  const append = (event: RunEvent) => appendEvent(journal, stamped(event, clock));
  if (begun) {
    checkSameRun(await provenanceIn(journal), prepared, folder);
    await append({ type: 'resumed' });
    return (await createdEvent(journal)).plan;
  }
  const plan = await planRun(prepared, registries, pool);
  await append({ type: 'created', plan, provenance: provenanceOf(prepared, describeEnvironment()) });
  return plan;
}

async function createdEvent(journal: Journal): Promise<Extract<RunEvent, { type: 'created' }>> {
  return (await eventsOf(journal))[0] as Extract<RunEvent, { type: 'created' }>;
}

export async function provenanceIn(journal: Journal): Promise<Provenance> {
  return (await createdEvent(journal)).provenance as Provenance;
}

async function planRun(prepared: PreparedRun, registries: RunRegistries, pool: Pool): Promise<RunPlan> {
  const { seed, adapter } = prepared.recipe;
  const { result: init } = await pool.run({ kind: 'init', seed, adapter: adapter ?? null }, 0);
  return planOf(prepared, registries, init);
}

/** `params`: digest of those that the run starts from. Throws RECIPE_INVALID, AGGREGATION_OVERFLOW. */
export function planOf(
  {
    recipe,
    owners,
    modelDigest,
    heldOut,
    publicExamples,
    attackers = [],
  }: Pick<PreparedRun, 'recipe' | 'owners' | 'modelDigest' | 'heldOut' | 'publicExamples' | 'attackers'>,
  registries: RunRegistries,
  { tensors, params }: InitResult,
): RunPlan {
  const { federation, seed, baselines, evaluation } = recipe;
  const { rounds, localSteps, weighting, serverLearningRate, fixedPoint, keepBest } = federation;
  const cohortSize = federation.cohortSize ?? owners.length;
  const localEpochs = localEpochsOf(recipe);
  const steps = meanSteps({ localSteps, localEpochs }, owners);
  const names = owners.map(({ owner }) => owner);
  const attack = bindRecipeAttack(recipe, registries);
  const quorum = federation.quorum ?? cohortSize;
  const budget = { owners: names, rounds, cohortSize, localSteps: steps, ...baselines };
  return createPlan(
    {
      seed,
      owners,
      tensors,
      baseModel: modelDigest,
      initialParams: params,
      method: federation.method,
      rounds,
      cohortSize,
      quorum: federation.quorum,
      selection: plannedSelection(federation.selection),
      localSteps,
      localEpochs,
      privacy: clientPrivacy(recipe, cohortSize),
      secureAggregation: plannedSecureAggregation(recipe),
      examplePrivacy: examplePrivacy(recipe),
      attack: attack && planAttack(attack, { attackers, owners: names, quorum, cohortSize }),
      ...accountabilityOf(recipe),
      release: releaseRuleOf(recipe, registries),
      realign: federation.realign,
      weighting,
      serverLearningRate,
      fixedPoint,
      earlyStopping: federation.earlyStopping ?? null,
      keepBest,
      arms: planArms(budget),
      validateEveryRounds: heldOut.validation === undefined ? 0 : evaluation.everyRounds,
      test: heldOut.test !== undefined,
      pace: { maxUpdateNorm: federation.maxUpdateNorm ?? null },
    },
    bindRecipeMethod(recipe, registries),
    {
      ...clientFacts(recipe, registries),
      ownerNames: names,
      // Where they are not read, the recipe says whether there are any.
      numPublicExamples:
        publicExamples === undefined && recipe.data.public !== undefined
          ? undefined
          : numExamplesOf(publicExamples),
    },
  );
}
