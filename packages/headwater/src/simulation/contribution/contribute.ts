/**
 * What each owner added to a finished run, from its kept updates and its validation set: round by round the round is made again
 * without some of its members, and the loss that the validation set then has is what a coalition is worth. Nothing is trained.
 */

import { HeadwaterError } from '../../base/errors.ts';
import { rng } from '../../base/random.ts';
import {
  exactShapley,
  gtgShapley,
  leaveOneOut,
  remembering,
  type Share,
  type Utility,
} from '../../federation/contribution/shapley.ts';
import { similarities } from '../../federation/contribution/similarity.ts';
import { decodeParams } from '../../federation/params.ts';
import { aggregateMembers } from '../../jobs/aggregation.ts';
import { bindRecipeCompression, bindTuning } from '../../jobs/records.ts';
import type { Contribution, OwnerContribution } from '../../runs/contribution.ts';
import { createNodeExecutor } from '../../runtime/onnx-node.ts';
import { memoryBlobs } from '../../storage/memory-blobs.ts';
import type { Engine } from '../../training/engine.ts';
import { createEngine } from '../../training/engine-core.ts';
import { paramsAfter, type StoredRun } from '../unlearning/stored-run.ts';

export interface ContributionOptions {
  /** Rounds that are looked at, evenly spaced; all where there are fewer. */
  readonly rounds: number;
  /** Permutations of a round at most. */
  readonly permutations: number;
  /** Validation rows. */
  readonly sample: number;
  readonly onRound?: (done: number, total: number) => void;
}

/** Up to so many members all coalitions are scored. */
const EXACT = 5;
/** ε of the truncations, in nats. */
const FLAT = 1e-3;

/** Throws OPTION_INVALID without validation data, and for methods whose server trains. */
export async function contributions(stored: StoredRun, options: ContributionOptions): Promise<Contribution> {
  const { state, prepared, registries, method } = stored;
  const pieces = prepared.heldOut.validation?.pieces.slice(0, options.sample) ?? [];
  if (pieces.length === 0)
    throw new HeadwaterError('OPTION_INVALID', 'the run has no validation data to measure by', {
      hint: 'Give data.validation or data.validationFraction; the test set is for results.',
    });
  if (method.serverTrain !== undefined || method.rule?.asksReference === true)
    throw new HeadwaterError(
      'OPTION_INVALID',
      `the server of ${method.id} trains: rounds cannot be made again without it`,
    );
  const { recipe, model } = prepared;
  const executor = createNodeExecutor({ device: recipe.device, threads: recipe.threadsPerSession });
  const tuning = bindTuning(recipe, model.definition, registries);
  const engine = createEngine({ model, tuning, executor });
  const batchSize = Math.min(recipe.evaluation.batchSize, pieces.length);
  const settings = { batchSize, maxLength: recipe.data.maxLength };
  const lossOf: LossOf = async (params) => {
    const scores = await engine.score(params, pieces, settings);
    const total = (key: 'nll' | 'numTargets') => scores.reduce((sum, score) => sum + score[key], 0);
    return total('nll') / Math.max(1, total('numTargets'));
  };
  try {
    const chosen = spaced(state.closed.length, options.rounds);
    const seen: RoundShares[] = [];
    for (const round of chosen) {
      seen.push(await sharesOfRound(stored, round, lossOf, options));
      options.onRound?.(seen.length, chosen.length);
    }
    return {
      version: 1,
      unit: 'nats of validation loss',
      rounds: chosen,
      roundsOfRun: state.closed.length,
      evaluations: seen.reduce((sum, { evaluations }) => sum + evaluations, 0),
      numExamples: pieces.length,
      owners: summed(seen),
    };
  } finally {
    await executor.dispose();
  }
}

type LossOf = (params: Parameters<Engine['score']>[0]) => Promise<number>;

interface RoundShares {
  readonly owners: readonly string[];
  readonly left: readonly number[];
  readonly shapley: readonly Share[];
  readonly similar: readonly (number | null)[];
  readonly evaluations: number;
}

async function sharesOfRound(
  stored: StoredRun,
  round: number,
  lossOf: LossOf,
  { permutations }: ContributionOptions,
): Promise<RoundShares> {
  const { state, prepared } = stored;
  const owners = Object.keys(state.closed[round - 1]!.members).sort();
  const value = remembering(await utilityOf(stored, round, owners, lossOf));
  const left = await leaveOneOut(owners.length, value);
  const random = rng(prepared.recipe.seed, 'contribution', round);
  const gtg = {
    ...{ betweenRounds: FLAT, withinRound: FLAT, random, mostPermutations: permutations },
    fewestPermutations: Math.min(30, permutations),
  };
  const shapley: readonly Share[] =
    owners.length <= EXACT
      ? (await exactShapley(owners.length, value)).map((share) => ({ value: share, halfWidth: 0 }))
      : (await gtgShapley(owners.length, value, gtg)).shares;
  return {
    owners,
    left,
    shapley,
    similar: await similarTo(stored, round, owners),
    evaluations: value.asked(),
  };
}

/** v(S) = −loss after the round with S alone in it; of nobody: the loss before it. */
async function utilityOf(
  { state, prepared, registries, method, blobs }: StoredRun,
  round: number,
  owners: readonly string[],
  lossOf: LossOf,
): Promise<Utility> {
  const { plan, closed, roster } = state;
  const params = paramsAfter(state, round - 1);
  const serverState = closed[round - 2]?.serverState ?? null;
  const compression = bindRecipeCompression(prepared.recipe, registries);
  const memory = memoryBlobs();
  const updates = owners.map((owner) => closed[round - 1]!.members[owner]!);
  for (const digest of [params, ...updates, ...(serverState === null ? [] : [serverState])])
    await memory.put(await blobs.get(digest));
  const parts = { method, compression, tensors: plan.tensors, blobs: memory };
  return async (coalition) => {
    if (coalition.length === 0) return -(await lossOf(decodeParams(await blobs.get(params))));
    const members = coalition.map((i) => ({
      owner: owners[i]!,
      update: updates[i]!,
      aggregationWeight: roster[owners[i]!]!.aggregationWeight,
    }));
    const work = {
      ...({ kind: 'aggregate', id: `aggregate/${round}`, round, params, serverState } as const),
      ...{ members, membership: '', participation: 1 },
    };
    const { fixedPoint, serverLearningRate } = plan;
    const made = await aggregateMembers(parts, { work, fixedPoint, serverLearningRate });
    const next = decodeParams(await memory.get(made.params));
    await memory.delete(made.params);
    return -(await lossOf(next));
  };
}

async function similarTo(
  stored: StoredRun,
  round: number,
  owners: readonly string[],
): Promise<(number | null)[]> {
  const { method, state } = stored;
  // Where owners send different tensors there is no one direction.
  if (method.wirePerOwner) return owners.map(() => null);
  const updates = await Promise.all(owners.map((owner) => stored.update(round, owner)));
  const weights = owners.map((owner) => state.roster[owner]!.aggregationWeight);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return similarities({
    updates,
    shares: weights.map((weight) => weight / total),
    params: await stored.params(round - 1),
  });
}

function summed(rounds: readonly RoundShares[]): OwnerContribution[] {
  const names = [...new Set(rounds.flatMap(({ owners }) => owners))].sort();
  return names.map((owner) => {
    const own = rounds.flatMap(({ owners, left, shapley, similar }) => {
      const i = owners.indexOf(owner);
      return i < 0 ? [] : [{ left: left[i]!, share: shapley[i]!, similar: similar[i]! }];
    });
    const known = own.flatMap(({ similar }) => similar ?? []);
    const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
    return {
      owner,
      rounds: own.length,
      leaveOneOut: sum(own.map(({ left }) => left)),
      shapley: {
        value: sum(own.map(({ share }) => share.value)),
        // Rounds are drawn independently.
        halfWidth: own.some(({ share }) => share.halfWidth === null)
          ? null
          : Math.sqrt(sum(own.map(({ share }) => share.halfWidth! ** 2))),
      },
      similarity: known.length === 0 ? null : sum(known) / known.length,
    };
  });
}

/** From the first to the last. */
function spaced(count: number, wanted: number): number[] {
  if (wanted >= count) return Array.from({ length: count }, (_, i) => i + 1);
  if (wanted === 1) return [count];
  return Array.from({ length: wanted }, (_, i) => 1 + Math.round((i * (count - 1)) / (wanted - 1)));
}
