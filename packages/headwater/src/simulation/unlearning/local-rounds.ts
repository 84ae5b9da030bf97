/** Rounds of some owners from any params, for methods of unlearning that train a little: the mean update of those who remain. */

import { HeadwaterError } from '../../base/errors.ts';
import { type Params, sameShape } from '../../base/tensor.ts';
import { encodeParams, weightedSum } from '../../federation/params.ts';
import { stepsOf } from '../../federation/plan.ts';
import { decodeUpdate } from '../../federation/update-reader.ts';
import type { Pool } from '../../jobs/pool.ts';
import { bindRecipeCompression } from '../../jobs/records.ts';
import { trainingOptions } from '../../jobs/training-options.ts';
import type { Blobs } from '../../storage/blobs.ts';
import type { StoredRun } from './stored-run.ts';

export interface Trainers {
  readonly stored: StoredRun;
  readonly pool: Pool;
  /** Where the pool’s workers read and write. */
  readonly blobs: Pick<Blobs, 'get' | 'put'>;
}

export interface LocalRoundAsked {
  readonly round: number;
  readonly owners: readonly string[];
  readonly params: Params;
  /** Of the steps of a round. */
  readonly share: number;
}

/** The weighted mean of what they learn, in the tensors that travel. */
export async function meanUpdate(
  { stored, pool, blobs }: Trainers,
  { round, owners, params, share }: LocalRoundAsked,
): Promise<Params> {
  const { state, prepared, method, registries } = stored;
  const { plan } = state;
  const compression = bindRecipeCompression(prepared.recipe, registries);
  const from = await blobs.put(encodeParams(params));
  const updates = await Promise.all(
    owners.map(async (owner) => {
      const entry = state.roster[owner]!;
      const whole = stepsOf(plan, entry);
      const amounts = {
        steps: Math.max(1, Math.round(share * whole)),
        stepOffset: (round - 1) * whole,
        totalSteps: plan.rounds * whole,
      };
      const options = trainingOptions(prepared.recipe, amounts, [plan.seed, owner, round, 'unlearn']);
      const job = {
        kind: 'train-client',
        seed: plan.seed,
        round,
        owner,
        params: from,
        personal: null,
        options,
      } as const;
      const { result } = await pool.run(job, 0);
      const travelling = method.wire(plan.tensors, round, owner);
      const update = decodeUpdate(await blobs.get(result.update), travelling, compression);
      return { params: update, factor: entry.aggregationWeight };
    }),
  );
  return weightedMean(updates);
}

/** Of the kept updates of a round. */
export async function storedMean(
  stored: StoredRun,
  round: number,
  owners: readonly string[],
): Promise<Params> {
  const updates = await Promise.all(
    owners.map(async (owner) => ({
      params: await stored.update(round, owner),
      factor: stored.state.roster[owner]!.aggregationWeight,
    })),
  );
  return weightedMean(updates);
}

function weightedMean(terms: readonly { readonly params: Params; readonly factor: number }[]): Params {
  const total = terms.reduce((sum, { factor }) => sum + factor, 0);
  return weightedSum(terms.map(({ params, factor }) => ({ params, factor: factor / total })));
}

/** Members of a round but the owner, in the order of their names. */
export function othersIn({ state }: StoredRun, round: number, owner: string): string[] {
  return Object.keys(state.closed[round - 1]!.members)
    .filter((name) => name !== owner)
    .sort();
}

/** Methods whose rounds are mean updates of their params, and nothing else. Throws OPTION_INVALID. */
export function requirePlainMean(stored: StoredRun, what: string): void {
  if (isPlainMean(stored)) return;
  const { method, state } = stored;
  throw new HeadwaterError(
    'OPTION_INVALID',
    `${what} replays mean updates, and ${state.plan.realign === undefined ? `${method.id} makes something else of them` : 'federation.realign trains what they give'}`,
    {
      hint: 'Use --method retrain, which replays any method.',
    },
  );
}

export function isPlainMean({ method, state }: StoredRun): boolean {
  const { tensors } = state.plan;
  const shapes = new Map(tensors.map(({ name, shape }) => [name, shape]));
  const travelling = method.wire(tensors, 1, state.plan.owners[0]!.owner);
  const plain = travelling.every(({ name, shape }) => sameShape(shapes.get(name) ?? [], shape));
  const { combine, serverStep, client } = method;
  const isMean = combine === undefined && serverStep === undefined && client === undefined && plain;
  return isMean && state.plan.realign === undefined;
}
