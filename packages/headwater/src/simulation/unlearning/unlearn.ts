/**
 * Removes an owner from a finished run by one of several methods and writes what remains: exact ones by making rounds again or by
 * taking a summand out, approximate ones by replay, ascent or subtraction. What it is worth is measured elsewhere.
 */

import { basename, join } from 'node:path';
import { HeadwaterError } from '../../base/errors.ts';
import { makeFolder } from '../../base/make-folder-node.ts';
import { replay } from '../../federation/machine.ts';
import { decodeParams, encodeParams } from '../../federation/params.ts';
import { stepsOf } from '../../federation/plan.ts';
import { chosenRound } from '../../federation/stopping.ts';
import type { Pool } from '../../jobs/pool.ts';
import type { OnProgress } from '../../jobs/progress.ts';
import { bindTuning } from '../../jobs/records.ts';
import { trainingOptions } from '../../jobs/training-options.ts';
import { openWorkers } from '../../jobs/workers.ts';
import { cardText } from '../../runs/privacy.ts';
import { readEvents } from '../../runs/run-folder.ts';
import type { Blobs } from '../../storage/blobs.ts';
import { openFileBlobs } from '../../storage/file-blobs.ts';
import { type Ascent, ascended } from './ascend.ts';
import { erased } from './erase.ts';
import { forgettingTarget } from './forgetting-target.ts';
import { othersIn, type Trainers } from './local-rounds.ts';
import type { Bench, WeightedParams } from './measure.ts';
import { judged, restraintOf } from './restraint.ts';
import { retrainWithout } from './retrain.ts';
import { checkOwner, firstRoundOf, type StoredRun } from './stored-run.ts';

export const UNLEARNING = {
  retrain: 'makes all rounds again from before the owner’s first one, without it',
  'flora-removal': 'takes the owner’s factors out of a stack of one round',
  federaser: 'replays kept updates, calibrated by short trainings of those who remain',
  ascent: 'climbs the loss on the owner’s examples, within a ball, then repairs',
  npo: 'makes the owner’s answers less likely than they were, with bounded weights, then repairs',
  negation: 'subtracts an adapter trained on the owner’s examples alone',
} as const;

export type UnlearningMethod = keyof typeof UNLEARNING;

export interface UnlearnOptions {
  readonly owner: string;
  readonly method: UnlearningMethod;
  /** Folder for what is made. */
  readonly out: string;
  /** federaser: every so many rounds. */
  readonly every: number;
  /** federaser: of a round’s local steps. */
  readonly share: number;
  /** ascent, npo: optimizer steps at most. */
  readonly steps: number;
  /** ascent, npo: length of the first step, over how far the run went in all. */
  readonly rate: number;
  /** ascent, npo, negation: by how much the others’ validation loss may grow. */
  readonly tolerance: number;
  /** npo. */
  readonly beta: number;
  /** ascent, npo: rounds of the others afterwards. */
  readonly repair: number;
  /** negation: λ at most. */
  readonly factor: number;
}

export interface Unlearned {
  readonly method: UnlearningMethod;
  /** Whether what came out is what training without the owner gives. */
  readonly exact: boolean;
  readonly model: readonly WeightedParams[];
  /** PEFT folders in `out` that make it up, with their weights. */
  readonly adapters: readonly { readonly folder: string; readonly weight: number }[];
  /** Digest of the params; null where they are several. */
  readonly params: string | null;
  readonly seconds: number;
  /** What was done, in a sentence. */
  readonly statement: string;
}

/** Throws OPTION_INVALID where the method does not apply to the run, and what training throws. */
export async function unlearn(
  stored: StoredRun,
  bench: Bench,
  options: UnlearnOptions,
  onProgress?: OnProgress,
): Promise<Unlearned> {
  checkOwner(stored.state, options.owner);
  if (stored.state.plan.owners.length < 2)
    throw new HeadwaterError('OPTION_INVALID', 'without its only owner nothing remains of the run');
  const begun = stored.clock.nowMs();
  const made =
    options.method === 'retrain'
      ? await retrained(stored, options, onProgress)
      : await withWorkers(stored, options.out, (trainers) => approximated(trainers, bench, options));
  return { ...made, method: options.method, seconds: (stored.clock.nowMs() - begun) / 1000 };
}

type Made = Omit<Unlearned, 'method' | 'seconds'>;

async function retrained(
  stored: StoredRun,
  { owner, out }: UnlearnOptions,
  onProgress: OnProgress | undefined,
): Promise<Made> {
  const { folder, resultFolder, results, rounds } = await retrainWithout(stored, owner, out, onProgress);
  const digest = results.params ?? replay(await readEvents(folder)).params;
  const blobs = await openFileBlobs(join(folder, 'blobs'));
  const first = firstRoundOf(stored.state, owner);
  const what =
    first === undefined
      ? 'the owner was never counted: nothing had to be made again'
      : `${rounds} rounds were made again from the checkpoint before round ${first}, the owner’s first`;
  return {
    exact: true,
    model: [{ params: decodeParams(await blobs.get(digest)), weight: 1 }],
    adapters: [{ folder: basename(resultFolder), weight: 1 }],
    params: digest,
    statement: `Exact: ${what}.`,
  };
}

interface Workplace extends Trainers {
  readonly pool: Pool;
  readonly blobs: Blobs;
}

async function withWorkers<T>(
  stored: StoredRun,
  out: string,
  use: (workplace: Workplace) => Promise<T>,
): Promise<T> {
  await makeFolder(out);
  const place = join(out, 'blobs');
  const blobs = await openFileBlobs(place);
  const pool = openWorkers(stored.prepared, place, stored.clock);
  try {
    return await use({ stored, pool, blobs });
  } finally {
    await pool.close();
  }
}

function approximated(place: Workplace, bench: Bench, options: UnlearnOptions): Promise<Made> {
  switch (options.method) {
    case 'flora-removal':
      return removed(place, options);
    case 'negation':
      return negated(place, bench, options);
    case 'federaser':
      return replayed(place, options);
    default:
      return climbed(place, bench, options, options.method === 'npo' ? 'npo' : 'ascent');
  }
}

async function replayed(place: Workplace, options: UnlearnOptions): Promise<Made> {
  const params = await erased(place, options.owner, options);
  const statement = `Approximate: every ${options.every}. round was replayed, as far as the others’ kept updates went, in directions found by ${options.share} of a round’s steps.`;
  return written(place, options, [{ params, weight: 1 }], { exact: false, statement });
}

const ENDS: Record<Ascent['ended'], (tolerance: number) => string> = {
  forgotten: () => 'until its loss on them was what others without them would have',
  'held-back': (tolerance) =>
    `which ended where one more would have cost the others more than ${percentOf(tolerance)} of validation loss`,
  steps: () => 'which were used up before it had forgotten them',
};

function percentOf(share: number): string {
  return `${Number((100 * share).toPrecision(2))} %`;
}

async function climbed(
  place: Workplace,
  bench: Bench,
  options: UnlearnOptions,
  kind: 'ascent' | 'npo',
): Promise<Made> {
  const { owner, beta, repair, tolerance } = options;
  const { params, steps, ended } = await ascended(place, bench, owner, { ...options, kind });
  const rule =
    kind === 'npo' ? `negative preference optimisation (β = ${beta})` : 'projected gradient ascent';
  const statement = `Approximate: ${steps} steps of ${rule} on the owner’s examples, ${ENDS[ended](tolerance)}; then ${repair} rounds of the others.`;
  return written(place, options, [{ params, weight: 1 }], { exact: false, statement });
}

/** The stack of the only round, made again without the owner’s summand: (ΔW − p s B A) / (1 − p). */
async function removed(place: Workplace, options: UnlearnOptions): Promise<Made> {
  const { stored, pool, blobs } = place;
  const { state, method } = stored;
  const { plan } = state;
  if (!['flora', 'florist'].includes(method.id) || state.closed.length !== 1)
    throw new HeadwaterError(
      'OPTION_INVALID',
      `flora-removal is exact for one round of flora or florist; this run has ${state.closed.length} of ${method.id}`,
      { hint: 'In later rounds the others learnt from what the owner had sent. Use --method retrain.' },
    );
  const owners = othersIn(stored, 1, options.owner);
  for (const digest of [plan.initialParams, ...owners.map((name) => state.closed[0]!.members[name]!)])
    await blobs.put(await stored.blobs.get(digest));
  const members = owners.map((owner) => ({
    owner,
    update: state.closed[0]!.members[owner]!,
    aggregationWeight: state.roster[owner]!.aggregationWeight,
  }));
  const work = {
    ...({ kind: 'aggregate', id: 'aggregate/1', round: 1, params: plan.initialParams } as const),
    ...{ serverState: null, members, membership: '', participation: 1 },
  };
  const { fixedPoint, serverLearningRate } = plan;
  const { result } = await pool.run({ kind: 'aggregate', work, fixedPoint, serverLearningRate }, 0);
  const params = decodeParams(await blobs.get(result.params));
  const statement = 'Exact: the stack of the only round was made without the owner’s factors.';
  return written(place, options, [{ params, weight: 1 }], { exact: true, statement });
}

/** W + ΔW − λ ΔW_c, by two adapters: their products are subtracted, which those of factors would not be. */
async function negated(place: Workplace, bench: Bench, options: UnlearnOptions): Promise<Made> {
  const { stored, pool, blobs } = place;
  const { plan, roster } = stored.state;
  const { recipe, model } = stored.prepared;
  if (bindTuning(recipe, model.definition, stored.registries).contribute === undefined)
    throw new HeadwaterError(
      'OPTION_INVALID',
      'negation adds adapters with weights, which this tuning has not',
      {
        hint: 'Use --method retrain.',
      },
    );
  const { owner } = options;
  const start = await blobs.put(await stored.blobs.get(plan.initialParams));
  const steps = plan.rounds * stepsOf(plan, roster[owner]!);
  const amounts = { steps, stepOffset: 0, totalSteps: steps };
  const how = trainingOptions(recipe, amounts, [plan.seed, 'unlearn', owner, 'train']);
  const job = {
    kind: 'train-arm',
    arm: `unlearn/${owner}`,
    owners: [owner],
    params: start,
    options: how,
  } as const;
  const { result } = await pool.run(job, 0);
  const chosen = chosenRound(stored.state)?.round ?? stored.state.closed.length;
  const whole = { params: await stored.params(chosen), weight: 1 };
  const own = decodeParams(await blobs.get(result.params));
  const target = (await forgettingTarget(stored, bench, owner, whole.params)) ?? Number.POSITIVE_INFINITY;
  const factor = await bearableFactor(bench, options, target, (weight) => [
    whole,
    { params: own, weight: -weight },
  ]);
  const weighted = [whole, { params: own, weight: -factor }];
  const statement = `Approximate: an adapter trained on the owner’s examples alone is subtracted ${factor} times, the most that keeps the others’ validation loss within ${percentOf(options.tolerance)} and forgets no more than others without them would not know.`;
  return written(place, options, weighted, { exact: false, statement });
}

/** λ, or the first of λ/2, λ/4 … with which neither too much is forgotten nor the others lose too much; 0 where all do. */
async function bearableFactor(
  bench: Bench,
  { factor, tolerance }: UnlearnOptions,
  target: number,
  subtracted: (factor: number) => readonly WeightedParams[],
): Promise<number> {
  const [whole] = subtracted(0) as [WeightedParams];
  const before = await bench.losses([whole]);
  const restraint = restraintOf(target, before, tolerance);
  for (let tried = factor; tried > factor / 100; tried /= 2)
    if (judged(await bench.losses(subtracted(tried)), restraint) !== 'too-far') return tried;
  return 0;
}

/** Each of them as a PEFT folder. */
async function written(
  { stored, pool, blobs }: Workplace,
  { out, owner }: UnlearnOptions,
  model: readonly WeightedParams[],
  { exact, statement }: Pick<Made, 'exact' | 'statement'>,
): Promise<Made> {
  const adapters: { folder: string; weight: number }[] = [];
  const digests: string[] = [];
  for (const [i, { params, weight }] of model.entries()) {
    const folder = join(out, i === 0 ? 'adapter' : `adapter-${i + 1}`);
    const digest = await blobs.put(encodeParams(params));
    const card = cardText(stored.prepared.recipe.name, `Unlearned: ${owner}. ${statement}`);
    await pool.run({ kind: 'export', params: digest, folder, card }, 0);
    adapters.push({ folder: basename(folder), weight });
    digests.push(digest);
  }
  return { exact, statement, model, adapters, params: digests.length === 1 ? digests[0]! : null };
}
