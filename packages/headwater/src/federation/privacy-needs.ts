/**
 * What clipping and noise ask of a run before it starts: that one client's part of what the server releases is bounded. Pure;
 * what it looks at, methods declare.
 */

import type { TrainableTensor } from '../tuning/kind.ts';
import type { ClientPrivacy } from './client-privacy.ts';
import type { BoundMethod } from './method.ts';
import { treeMistakes } from './noise-tree-needs.ts';
import { LEAST_NOISE_STEPS } from './noisy-release.ts';
import type { SelectionChoice } from './selection/registry.ts';
import type { Weighting } from './weights.ts';

export interface PrivacyFacts {
  readonly owners?: readonly unknown[] | undefined;
  readonly privacy?: ClientPrivacy | undefined;
  readonly cohortSize?: number | undefined;
  readonly rounds?: number | undefined;
  readonly weighting: Weighting;
  readonly selection?: SelectionChoice | undefined;
  readonly tensors: readonly TrainableTensor[];
  readonly fixedPoint: { readonly fractionBits?: number | undefined };
  /** Id of what the updates travel as. */
  readonly compression?: string | undefined;
  readonly pace?:
    | { readonly mode?: 'synchronous' | 'buffered'; readonly evaluatedBy?: 'shell' | 'owners' }
    | undefined;
}

/** One sentence for each, with what to choose instead. */
export function privacyMistakes(facts: PrivacyFacts, method: BoundMethod): string[] {
  if (facts.privacy === undefined) return [];
  return [
    ...roundMistakes(facts, facts.privacy),
    ...budgetMistakes(facts, facts.privacy),
    ...populationMistakes(facts, facts.privacy),
    ...adaptiveMistakes(facts, facts.privacy),
    ...treeMistakes(facts, facts.privacy, method),
    ...poissonMistakes(facts.privacy),
    ...methodMistakes(facts.tensors, method),
  ];
}

function roundMistakes(
  { weighting, selection, fixedPoint, pace }: PrivacyFacts,
  { clipNorm, noiseMultiplier }: ClientPrivacy,
): string[] {
  const mistakes: string[] = [];
  if (weighting !== 'uniform')
    mistakes.push(
      `privacy.clientLevel with federation.weighting: ${weighting} would let a client count as often as it says, so that no noise were enough; set it to uniform`,
    );
  if (pace?.mode === 'buffered')
    mistakes.push(
      'privacy.clientLevel in buffered mode would weigh updates by how late they came; set federation.mode.kind: synchronous',
    );
  if (selection !== undefined)
    mistakes.push(
      `privacy.clientLevel with federation.selection: ${selection.kind} would choose owners by what their data showed, which is told without noise; set it to uniform`,
    );
  const steps = noiseMultiplier * clipNorm * 2 ** (fixedPoint.fractionBits ?? 30);
  if (noiseMultiplier > 0 && steps < LEAST_NOISE_STEPS)
    mistakes.push(
      `the noise of privacy.clientLevel has a standard deviation of ${steps.toPrecision(3)} steps of the fixed-point grid, fewer than ${LEAST_NOISE_STEPS}; raise federation.fixedPoint.fractionBits by ${Math.ceil(Math.log2(LEAST_NOISE_STEPS / steps))}`,
    );
  return mistakes;
}

function budgetMistakes({ owners }: PrivacyFacts, { delta, maxParticipations }: ClientPrivacy): string[] {
  const mistakes: string[] = [];
  if (maxParticipations < 1)
    mistakes.push(
      'not even one release stays within privacy.clientLevel.targetEpsilon; raise noiseMultiplier (`headwater privacy` says how far) or targetEpsilon',
    );
  if (delta !== undefined && owners !== undefined && delta > 1 / owners.length)
    mistakes.push(
      `privacy.clientLevel.delta is ${delta}, more than one in ${owners.length} owners: publishing one of them as it is would count as private; choose less than ${1 / owners.length}`,
    );
  return mistakes;
}

/** What is stated has to be so: δ and what is amplified rely on it. */
function populationMistakes({ owners, pace }: PrivacyFacts, { population }: ClientPrivacy): string[] {
  if (population === undefined || owners === undefined) return [];
  const simulated = pace?.evaluatedBy !== 'owners';
  if (simulated ? owners.length === population : owners.length <= population) return [];
  return [
    `privacy.clientLevel.population is ${population}, but there are ${owners.length} owners; set it to ${owners.length}`,
  ];
}

/** Amplification is proven for coins of a coordinator that everybody trusts, and for noise of its own in every release. */
function poissonMistakes({ poisson, trust, tree, population }: ClientPrivacy): string[] {
  if (poisson === undefined) return [];
  const mistakes: string[] = [];
  if (trust !== undefined)
    mistakes.push(
      `privacy.clientLevel.sampling: poisson hides who was drawn from those who see releases, but with trust: ${trust} noise is to hide owners from the coordinator, which draws them; use trust: central, or sampling: none`,
    );
  if (tree !== undefined)
    mistakes.push(
      'privacy.clientLevel.sampling: poisson with mechanism: tree has no proven figure; use sampling: none, or mechanism: gaussian',
    );
  if (population === undefined || !(poisson.rate > 0 && poisson.rate <= 1))
    mistakes.push(
      'privacy.clientLevel.sampling: poisson draws owners with probability cohortSize / population; state privacy.clientLevel.population, at least federation.cohortSize',
    );
  return mistakes;
}

function adaptiveMistakes(
  { compression = 'none' }: PrivacyFacts,
  { noiseMultiplier, adaptive }: ClientPrivacy,
): string[] {
  if (adaptive === undefined) return [];
  const mistakes: string[] = [];
  if (noiseMultiplier >= 2 * adaptive.countNoise)
    mistakes.push(
      `privacy.clientLevel.noiseMultiplier ${noiseMultiplier} needs a countNoise of more than ${noiseMultiplier / 2} with an adaptive clip, got ${adaptive.countNoise}: the count of unclipped updates would cost more than the whole release may; raise clip.countNoise, or the cohort`,
    );
  if (compression !== 'none')
    mistakes.push(
      `an adaptive clip counts updates by their length as they arrive, which compression ${compression} changes; use clip.kind: fixed, or no compression`,
    );
  return mistakes;
}

const INSTEAD = 'choose a method that only averages updates, as docs/methods.md tells';

/** Two rounds: methods may take turns. */
function methodMistakes(tensors: readonly TrainableTensor[], method: BoundMethod): string[] {
  const { id, secureAggregation, combine } = method;
  if (secureAggregation !== 'yes')
    return [
      `privacy.clientLevel bounds a client's part of a sum, which is not enough for ${id}: ${secureAggregation.noBecause}; ${INSTEAD}`,
    ];
  if (combine !== undefined)
    return [
      `privacy.clientLevel bounds a client's part of a sum, but ${id} has a rule over whole updates, whose sensitivity nobody knows; ${INSTEAD}`,
    ];
  const shared = new Set(
    [1, 2].flatMap((round) =>
      tensors.filter((tensor) => method.role(tensor, round) === 'shared').map(({ name }) => name),
    ),
  );
  const travelling = [1, 2].flatMap((round) => method.wire(tensors, round, ''));
  const other = travelling.find(({ name }) => !shared.has(name));
  if (other === undefined) return [];
  return [
    `privacy.clientLevel clips an update as one vector, but ${id} also sends what is no update of a trained tensor ("${other.name}"), of another scale: it would be drowned, or drown the update; ${INSTEAD}`,
  ];
}
