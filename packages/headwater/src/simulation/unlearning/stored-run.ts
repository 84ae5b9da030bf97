/**
 * A finished simulated run, opened to look back: its plan, rounds, kept updates, data and workers. It writes nothing into the
 * folder of the run: what is made from it goes elsewhere.
 */

import { type Clock, systemClock } from '../../base/clock.ts';
import { HeadwaterError } from '../../base/errors.ts';
import type { Params } from '../../base/tensor.ts';
import type { RunEvent } from '../../federation/events.ts';
import { replay } from '../../federation/machine.ts';
import type { BoundMethod } from '../../federation/method.ts';
import { decodeParams } from '../../federation/params.ts';
import type { RunState } from '../../federation/state.ts';
import { decodeUpdate } from '../../federation/update-reader.ts';
import { type PreparedRun, prepareRun } from '../../jobs/prepare.ts';
import type { OnProgress } from '../../jobs/progress.ts';
import { bindRecipeCompression, bindRecipeMethod, type RunRegistries } from '../../jobs/records.ts';
import { resolveRecipe } from '../../jobs/resolve-recipe.ts';
import { readEvents, runPaths } from '../../runs/run-folder.ts';
import type { Blobs } from '../../storage/blobs.ts';
import { openFileBlobs } from '../../storage/file-blobs.ts';

export interface StoredRun {
  readonly folder: string;
  readonly events: readonly RunEvent[];
  readonly state: RunState;
  readonly prepared: PreparedRun;
  readonly registries: RunRegistries;
  readonly method: BoundMethod;
  readonly blobs: Pick<Blobs, 'get' | 'has'>;
  readonly clock: Clock;
  /** Global params after a round; 0: those that the run began with. */
  params(round: number): Promise<Params>;
  update(round: number, owner: string): Promise<Params>;
}

/** Throws RUN_NOT_FOUND, RUN_CORRUPT; OPTION_INVALID for a run that is not over or kept no updates; what preparing throws. */
export async function openStoredRun(folder: string, onProgress?: OnProgress): Promise<StoredRun> {
  const paths = runPaths(folder);
  const events = await readEvents(folder);
  const state = replay(events);
  if (state.status !== 'finished' || state.closed.length === 0)
    throw new HeadwaterError('OPTION_INVALID', 'the run is not finished', {
      where: folder,
      hint: 'Continue it with headwater run … --resume.',
    });
  if (state.plan.keepUpdates === undefined)
    throw new HeadwaterError('OPTION_INVALID', 'the run kept none of its updates', {
      where: folder,
      hint: 'Run it with --set federation.keepUpdates=true; updates that are gone do not come back.',
    });
  const { recipe, registries } = await resolveRecipe(paths.recipe);
  const prepared = await prepareRun(recipe, registries, onProgress === undefined ? {} : { onProgress });
  const blobs = await openFileBlobs(paths.blobs);
  const method = bindRecipeMethod(prepared.recipe, registries);
  const compression = bindRecipeCompression(prepared.recipe, registries);
  return {
    ...{ folder, events, state, prepared, registries, method, blobs, clock: systemClock },
    async params(round) {
      const digest = paramsAfter(state, round);
      return decodeParams(await blobs.get(digest), `params of round ${round}`);
    },
    async update(round, owner) {
      const digest = state.closed[round - 1]!.members[owner]!;
      return decodeUpdate(
        await blobs.get(digest),
        method.wire(state.plan.tensors, round, owner),
        compression,
      );
    },
  };
}

export function paramsAfter({ plan, closed }: RunState, round: number): string {
  return round === 0 ? plan.initialParams : closed[round - 1]!.params;
}

/** The first round in which the owner was counted; undefined: never. */
export function firstRoundOf({ closed }: RunState, owner: string): number | undefined {
  return closed.find(({ members }) => Object.hasOwn(members, owner))?.round;
}

/** Throws OPTION_INVALID. */
export function checkOwner({ plan }: RunState, owner: string): void {
  const names = plan.owners.map((one) => one.owner);
  if (names.includes(owner)) return;
  throw new HeadwaterError('OPTION_INVALID', `the run has no owner "${owner}"`, {
    hint: `It has ${names.join(', ')}.`,
  });
}
