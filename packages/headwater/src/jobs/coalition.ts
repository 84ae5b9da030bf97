/**
 * A round made again with some of its members and scored, for whoever asks what each of them added. In memory: nothing of it is
 * stored, and no figures are made of it. What coalitions are worth asking for is decided elsewhere.
 */

import { decodeParams } from '../federation/params.ts';
import type { Engine, ExampleScore } from '../training/engine.ts';
import { type AggregationParts, roundInMemory } from './aggregation.ts';
import type { HeldOut } from './answering.ts';
import type { CoalitionJob } from './jobs.ts';

/** In the order of `positions`. */
export async function scoreCoalition(
  parts: AggregationParts & {
    readonly engine: Pick<Engine, 'score'>;
    readonly heldOut: Partial<Readonly<Record<'validation' | 'test', HeldOut>>>;
  },
  { work, fixedPoint, serverLearningRate, training, positions, batchSize, maxLength }: CoalitionJob,
): Promise<readonly ExampleScore[]> {
  const { method, blobs } = parts;
  const job = { work, fixedPoint, serverLearningRate, training };
  const silent = { ...parts, method: { ...method, figures: undefined } };
  const params =
    work.members.length === 0
      ? decodeParams(await blobs.get(work.params), `blob ${work.params}`)
      : (await roundInMemory(silent, job)).params;
  const pieces = positions.map((position) => parts.heldOut.validation!.pieces[position]!);
  return parts.engine.score(params, pieces, { batchSize, maxLength });
}
