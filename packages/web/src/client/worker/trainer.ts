/** Training and scoring on the owner's examples in this worker: the same rounds as in Node, on the tab's engine. */

import { assert } from '@headwater/base/errors.ts';
import type { Params } from '@headwater/base/tensor.ts';
import { interrupted } from '@headwater/client/failures.ts';
import { isBeforeTraining, maxParamsBytes, ownerScores } from '@headwater/client/owner-figures.ts';
import type { EvaluateTask, Trainer, TrainTask } from '@headwater/client/ports.ts';
import type { TokenizedExample } from '@headwater/data/types.ts';
import type { OwnerScores } from '@headwater/federation/events.ts';
import { decodeParams, encodeParams } from '@headwater/federation/params.ts';
import { scoreSpan, writeSpan } from '@headwater/jobs/answering.ts';
import { answeringJobs } from '@headwater/jobs/answering-jobs.ts';
import { trainClientRound } from '@headwater/jobs/client-round.ts';
import { cutOf } from '@headwater/jobs/cut.ts';
import type { EvaluationSet } from '@headwater/jobs/evaluation-set.ts';
import { exampleTraining } from '@headwater/jobs/example-privacy.ts';
import { type HeldOutParts, taskChoices } from '@headwater/jobs/held-out.ts';
import { ownNoise } from '@headwater/jobs/own-noise.ts';
import { refusePrograms } from '@headwater/jobs/programs/refusal.ts';
import { createReferences } from '@headwater/jobs/references.ts';
import { tokenizeParts } from '@headwater/jobs/tokenize-parts.ts';
import { trainingCost } from '@headwater/jobs/training-cost.ts';
import { trainingOptions } from '@headwater/jobs/training-options.ts';
import { quorumOf } from '@headwater/recipe/pace.ts';
import type { Blobs } from '@headwater/storage/blobs.ts';
import type { StepReport } from '@headwater/training/engine.ts';
import { turnstile } from '../../engine/worker/turnstile.ts';
import type { Learner } from './learner.ts';

export interface TabTrainerOptions {
  readonly learner: Learner;
  readonly owner: string;
  readonly parts: HeldOutParts;
  readonly onStep: (report: StepReport) => void;
}

/** Throws DATA_INVALID when nothing is left to learn, CODE_EXECUTION_REFUSED. */
export function openTabTrainer({ learner, owner, parts, onStep }: TabTrainerOptions): Trainer {
  const { recipe, registries, model, codec } = learner;
  refusePrograms(taskChoices(recipe, registries));
  const partition = new Map([[owner, [...parts.train.keys()]]]);
  const { held, heldOut, owners } = tokenizeParts({ recipe, registries, model, codec }, parts, partition);
  const [counts] = owners;
  assert(counts !== undefined, 'the owner has examples');
  const bench: Bench = {
    ...{ learner, owner, heldOut, onStep },
    examples: held.get(owner) ?? [],
    references: createReferences({ engine: learner.engine, params: learner.freshParams }),
  };
  // A training that was given up computes to its next step: the next one begins behind it.
  const inTurn = turnstile();
  return {
    counts: {
      numExamples: counts.numExamples,
      numTokens: counts.numTokens,
      heldOut: {
        validation: heldOut.validation?.examples.length ?? 0,
        test: heldOut.test?.examples.length ?? 0,
      },
    },
    maxParamsBytes: maxParamsBytes(recipe, model, registries),
    trainingCost: trainingCost(recipe, counts),
    train: (task, params, kept, signal, rest) =>
      inTurn(() => train(bench, task, { params, kept, rest }, signal)),
    rest: (round) => inTurn(() => freshRest(bench, round)),
    evaluate: (task, params, kept) => inTurn(() => evaluate(bench, task, params, kept)),
    close: async () => undefined,
  };
}

interface Bench {
  readonly learner: Learner;
  readonly owner: string;
  readonly examples: readonly TokenizedExample[];
  readonly heldOut: Partial<Readonly<Record<'validation' | 'test', EvaluationSet>>>;
  readonly references: ReturnType<typeof createReferences>;
  readonly onStep: (report: StepReport) => void;
}

interface Received {
  readonly params: Uint8Array;
  readonly kept: Uint8Array | undefined;
  readonly rest: Uint8Array | undefined;
}

async function train(
  { learner, owner, examples, references, onStep }: Bench,
  task: TrainTask,
  { params, kept, rest }: Received,
  signal: AbortSignal,
): ReturnType<Trainer['train']> {
  if (signal.aborted) throw interrupted();
  const { recipe, tuning } = learner;
  const { seed } = recipe;
  const { round, clipNorm } = task;
  const options = {
    ...trainingOptions(recipe, task, [seed, owner, round, 'train']),
    ...exampleTraining(recipe, { numExamples: examples.length }, 'secret'),
  };
  const arePairs = examples[0]?.rejected !== undefined;
  const input = {
    ...{ seed, round, owner, options, clipNorm },
    ownNoise: ownNoise(recipe, quorumOf(recipe), task.masking, 'secret'),
    params: { sent: decoded(params), rest: rest === undefined ? new Map() : decoded(rest) },
    kept: kept === undefined ? undefined : decoded(kept),
    examples: arePairs ? await references.ofOwner(owner, examples, options) : examples,
  };
  const { tensors, derivation } = tuning;
  const result = await trainClientRound({ ...learner, tensors, derivation }, input, (report) => {
    if (signal.aborted) throw interrupted();
    onStep(report);
  });
  return {
    update: result.update,
    kept: result.kept === undefined ? undefined : encodeParams(result.kept),
    stats: result.stats,
  };
}

/** From the run's seed, as the coordinator makes them; the tensors that do not travel in this round. */
async function freshRest({ learner, owner }: Bench, round: number): Promise<Uint8Array> {
  const { recipe, tuning, method } = learner;
  const params = await learner.freshParams();
  const job = { kind: 'cut', part: 'rest', params: '', seed: recipe.seed, round, owner } as const;
  return cutOf({ method, tensors: tuning.tensors }, params, { ...job, withFile: true }).file!;
}

async function evaluate(
  bench: Bench,
  { split, params: { digest }, evaluation }: EvaluateTask,
  params: Uint8Array,
  kept: Uint8Array | undefined,
): Promise<OwnerScores> {
  const { learner, owner, heldOut, references } = bench;
  const set = heldOut[split];
  if (set === undefined) return { numExamples: 0, numTargets: 0, scores: {} };
  const own = isBeforeTraining(evaluation) ? undefined : kept;
  const global = decoded(params);
  const { pieces, pieceOwner, prompts, promptOwner, compared } = set;
  const parts = {
    ...{ engine: learner.engine, method: learner.method, references },
    blobs: { get: async () => own! } as Pick<Blobs, 'get'> as Blobs,
    heldOut: { [split]: { pieces, owners: pieceOwner, prompts, promptOwners: promptOwner, compared } },
    tokenizer: async () => learner.codec.tokenizer,
  };
  const load = async () => global;
  const personal: Record<string, string> = own === undefined ? {} : { [owner]: 'kept' };
  const jobs = answeringJobs(set, { split, params: digest, personal }, learner.recipe);
  const scores = [];
  for (const job of jobs.score) scores.push(...(await scoreSpan(parts, load, job)));
  const outputs = [];
  for (const job of jobs.write) outputs.push(...(await writeSpan(parts, load, job)));
  return ownerScores(set, { scores, outputs, runs: new Map() });
}

function decoded(bytes: Uint8Array): Params {
  return decodeParams(bytes, 'from the coordinator');
}
