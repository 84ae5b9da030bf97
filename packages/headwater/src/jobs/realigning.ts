/**
 * The server trains what a round gave, on the public examples, before it becomes the global params: whatever made them, a sum, a
 * robust rule or masked updates. A function of params, examples and seed, like a client’s round.
 */

import { assert } from '../base/errors.ts';
import type { Params } from '../base/tensor.ts';
import type { TokenizedExample } from '../data/types.ts';
import type { BoundMethod } from '../federation/method.ts';
import { decodeParams, encodeParams } from '../federation/params.ts';
import type { Blobs } from '../storage/blobs.ts';
import { memoryBlobs } from '../storage/memory-blobs.ts';
import type { Engine } from '../training/engine.ts';
import type { BoundTuning } from '../tuning/kind.ts';
import type { AggregateResult, ServerTraining } from './jobs.ts';

export interface RealignParts {
  readonly engine: Pick<Engine, 'train'>;
  readonly tuning: Pick<BoundTuning, 'tensors'>;
  readonly method: Pick<BoundMethod, 'role'>;
  readonly publicExamples?: readonly TokenizedExample[] | undefined;
  readonly blobs: Blobs;
}

/** What the server makes of what a round gave. Throws TRAINING_DIVERGED and what the engine throws. */
export async function realignedParams(
  { engine, tuning, method, publicExamples = [] }: Omit<RealignParts, 'blobs'>,
  round: number,
  { options }: ServerTraining,
  start: Params,
): Promise<{ readonly params: Params; readonly meanLoss: number }> {
  assert(publicExamples.length > 0, 'a server that realigns has examples');
  const still = tuning.tensors.filter((tensor) => method.role(tensor, round) !== 'shared');
  const frozen = new Set(still.map(({ name }) => name));
  return engine.train(start, publicExamples, options, undefined, { frozen });
}

/** `aggregate`: with a store that it may write into. Throws TRAINING_DIVERGED and what the engine throws. */
export async function realigned(
  { blobs, ...parts }: RealignParts,
  round: number,
  training: ServerTraining,
  aggregate: (blobs: Blobs) => Promise<AggregateResult>,
): Promise<AggregateResult> {
  // What is not realigned yet is nothing that anybody uses.
  const held = memoryBlobs();
  const get = async (digest: string) => ((await held.has(digest)) ? held.get(digest) : blobs.get(digest));
  const result = await aggregate({ ...blobs, get, put: held.put, putStream: held.putStream });
  const keep = async (digest: string) => blobs.put(await held.get(digest));
  for (const digest of [result.serverState, result.watch?.memory]) if (digest) await keep(digest);
  const start = decodeParams(await held.get(result.params));
  const { params, meanLoss } = await realignedParams(parts, round, training, start);
  const figures = { ...result.report.figures, realignLoss: meanLoss };
  return { ...result, params: await blobs.put(encodeParams(params)), report: { ...result.report, figures } };
}
