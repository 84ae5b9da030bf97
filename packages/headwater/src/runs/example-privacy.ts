/**
 * What a run whose owners protect each of their examples says about itself: (ε, δ) and what it means, or SIMULATED where samples and
 * noise follow from a seed, which protects nobody.
 */

import { significant } from '../base/format.ts';
import { mechanismOf, mostSpentOnExamples } from '../federation/example-ledger.ts';
import type { ExampleMechanism, ExamplePrivacy } from '../federation/example-privacy.ts';
import type { RunPlan } from '../federation/plan.ts';
import type { RunState } from '../federation/state.ts';
import type { PrivacyGuarantee } from '../privacy/accounting/account.ts';
import { guaranteeStatement } from '../privacy/accounting/statement.ts';

/** Whether noise came from a CSPRNG: owners of a deployment draw their own. */
type Noise = 'simulated' | 'secret';

export interface RunExamplePrivacy extends ExamplePrivacy {
  /** Null: the noise was secret. */
  readonly stamp: 'SIMULATED' | null;
  readonly statement: string;
  /** Of the owner whose examples have spent most; null where nothing is claimed. */
  readonly guarantee: PrivacyGuarantee | null;
  /** ε that the same trainings cost with secret noise; null: no δ is given, or there is none. */
  readonly wouldCost: number | null;
  readonly owners: readonly (ExampleMechanism & { readonly owner: string; readonly trainings: number })[];
}

/** In a simulation owners are scored by the shell; in a deployment they draw their own noise. */
export function noiseOf({ pace }: Pick<RunPlan, 'pace'>): Noise {
  return pace.evaluatedBy === 'shell' ? 'simulated' : 'secret';
}

export function runExamplePrivacy(state: RunState, privacy: ExamplePrivacy): RunExamplePrivacy {
  const { plan, roster } = state;
  const noise = noiseOf(plan);
  const most = mostSpentOnExamples(state)?.guarantee ?? null;
  const owners = Object.values(roster).map(({ owner, numExamples, participations = 0 }) => ({
    owner,
    trainings: participations,
    ...mechanismOf(plan, privacy, { numExamples }),
  }));
  return {
    ...privacy,
    ...{ owners, stamp: noise === 'simulated' ? 'SIMULATED' : null },
    guarantee: noise === 'secret' ? most : null,
    wouldCost: noise === 'simulated' && most !== null && Number.isFinite(most.epsilon) ? most.epsilon : null,
    statement: examplePrivacyStatement(state, privacy),
  };
}

/** Of the trainings so far. */
export function examplePrivacyStatement(state: RunState, privacy: ExamplePrivacy): string {
  const most = mostSpentOnExamples(state)?.guarantee;
  if (noiseOf(state.plan) === 'simulated') return simulatedExampleStatement(state.plan, privacy, most);
  if (most === undefined) return 'Nothing is claimed about single examples: no δ is given.';
  return (
    `${guaranteeStatement(most, 'example')} It is about each example of an owner, for the owner whose examples have spent most, ` +
    `against everybody else, the coordinator included: owners add the noise to each step of their training before anything leaves ` +
    `them. That an owner took part and how many examples it has is not hidden, nor is what several of its examples have in common. ` +
    `An owner that was asked again after its update was lost has spent more; its own ledger knows.`
  );
}

/** As if every owner took part in every round: what a simulation says before it knows. */
export function plannedExampleStatement(
  plan: Pick<RunPlan, 'owners' | 'localSteps' | 'localEpochs' | 'rounds' | 'examplePrivacy'>,
  privacy: ExamplePrivacy,
): string {
  return simulatedExampleStatement(plan, privacy, mostOfPlan(plan)?.guarantee);
}

/** The largest guarantee of a plan whose owners take part in every round. */
export function mostOfPlan(
  plan: Pick<RunPlan, 'owners' | 'localSteps' | 'localEpochs' | 'rounds' | 'examplePrivacy'>,
): ReturnType<typeof mostSpentOnExamples> {
  const roster = Object.fromEntries(plan.owners.map((owner) => [owner.owner, owner]));
  const state = { plan, roster } as unknown as Pick<RunState, 'plan' | 'roster'>;
  const most = (owner: string) =>
    Math.min(plan.rounds, mechanismOf(plan, plan.examplePrivacy!, roster[owner]!).maxTrainings);
  return mostSpentOnExamples(state, most);
}

function simulatedExampleStatement(
  plan: Pick<RunPlan, 'owners' | 'localSteps' | 'localEpochs' | 'rounds'>,
  privacy: ExamplePrivacy,
  most: PrivacyGuarantee | undefined,
): string {
  const multipliers = plan.owners.map((owner) => mechanismOf(plan, privacy, owner).noiseMultiplier);
  const [least, largest] = [Math.min(...multipliers), Math.max(...multipliers)].map(significant);
  const factor = least === largest ? least : `${least} to ${largest}`;
  return (
    `SIMULATED differential privacy of single examples, no ε is claimed: gradients of examples were clipped to norm ` +
    `${privacy.clipNorm} and every local step got noise of standard deviation ${factor} · ${privacy.clipNorm}, but samples and noise ` +
    `follow from the run's seed, so whoever knows the recipe can take them away again.${wouldCost(most)}`
  );
}

/** What the same settings cost where the noise is secret. */
export function wouldCost(most: PrivacyGuarantee | undefined): string {
  if (most === undefined) return '';
  if (!Number.isFinite(most.epsilon)) return ' With secret noise the same settings would promise nothing.';
  return ` With secret noise the same settings would cost (ε, δ) = (${significant(most.epsilon)}, ${most.delta}).`;
}
