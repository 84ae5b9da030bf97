/**
 * An update that the server learns itself, on public examples, as a client would: what some robust rules hold those of the
 * clients against. A function of params, examples and seed.
 */

import { assert } from '../base/errors.ts';
import type { Params } from '../base/tensor.ts';
import type { TokenizedExample } from '../data/types.ts';
import { plain } from '../federation/compression/none.ts';
import { decodeUpdate } from '../federation/update-reader.ts';
import { type ClientRoundParts, trainClientRound } from './client-round.ts';
import type { ServerTraining } from './jobs.ts';

/** In the streams of random numbers; no owner is called so. */
const SERVER = ' server';

export async function referenceUpdate(
  parts: ClientRoundParts,
  round: number,
  params: Params,
  examples: readonly TokenizedExample[],
  training: ServerTraining | undefined,
): Promise<Params> {
  assert(training !== undefined && examples.length > 0, 'a server that learns is told how, and has examples');
  const { seed, options } = training;
  const { update } = await trainClientRound(
    { ...parts, compression: plain },
    { seed, round, owner: SERVER, params, kept: undefined, examples, options },
  );
  return decodeUpdate(update, parts.method.wire(parts.tensors, round, SERVER), plain);
}
