/**
 * A round made again with some of its members and scored, for whoever asks what each of them added. In memory: nothing of it is
 * stored, and no figures are made of it. What coalitions are worth asking for is decided elsewhere.
 */

import { decodeParams } from '../federation/params.ts';
import type { Engine, ExampleScore } from '../training/engine.ts';
import { type AggregationParts, roundInMemory } from './aggregation.ts';
import type { HeldOut } from './answering.ts';
import type { CoalitionJob } from './jobs.ts';
import { type RealignParts, realignedParams } from './realigning.ts';

export type CoalitionParts = AggregationParts &
  RealignParts & {
    readonly engine: Pick<Engine, 'score'>;
    readonly heldOut: Partial<Readonly<Record<'validation' | 'test', HeldOut>>>;
  };

/** In the order of `positions`. */
export async function scoreCoalition(
  parts: CoalitionParts,
  job: CoalitionJob,
): Promise<readonly ExampleScore[]> {
  const { work, realign, positions, batchSize, maxLength } = job;
  const made = await roundOf(parts, job);
  const { params } =
    realign === undefined ? { params: made } : await realignedParams(parts, work.round, realign, made);
  const pieces = positions.map((position) => parts.heldOut.validation!.pieces[position]!);
  return parts.engine.score(params, pieces, { batchSize, maxLength });
}

async function roundOf(
  parts: AggregationParts,
  { work, fixedPoint, serverLearningRate, training }: CoalitionJob,
) {
  if (work.members.length === 0)
    return decodeParams(await parts.blobs.get(work.params), `blob ${work.params}`);
  return (await roundInMemory(parts, { work, fixedPoint, serverLearningRate, training })).params;
}
