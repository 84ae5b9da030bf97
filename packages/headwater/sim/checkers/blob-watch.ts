/** The blobs that the journal refers to: durable before their row, there as long as they are needed, and rightly summed. */

import { digestBytes } from '../../src/base/canonical.ts';
import type { RunEvent } from '../../src/federation/events.ts';
import { liveBlobs } from '../../src/federation/outstanding.ts';
import { decodeParams, encodeParams } from '../../src/federation/params.ts';
import type { RunPlan } from '../../src/federation/plan.ts';
import type { RunState } from '../../src/federation/state.ts';
import type { Blobs } from '../../src/storage/blobs.ts';
import { type ExactRelease, exactRound } from '../exact-mean.ts';
import type { KeptWatch } from './kept-watch.ts';
import type { Committed } from './ledger.ts';
import type { NoiseWatch } from './noise-watch.ts';
import type { Report } from './violation.ts';

export interface BlobWatch {
  /** Resolves within the same tick: the checker's disk takes no time. `isLatest`: no further event is durable. */
  durable(
    event: RunEvent,
    state: RunState,
    committed: readonly Committed[],
    isLatest: () => boolean,
  ): Promise<void>;
}

/** What is behind a mask, and the noise of a release. */
type Behind = Pick<KeptWatch, 'trainingOf'> & Pick<NoiseWatch, 'noiseOf'>;

/** `safe`: what a power cut would leave; `seen`: what processes see. */
export function watchBlobs(
  safe: Promise<Blobs>,
  seen: Promise<Blobs>,
  report: Report,
  { trainingOf, noiseOf }: Behind,
): BlobWatch {
  const contents = new Map<string, Uint8Array>();

  async function keep(digest: string, what: string): Promise<void> {
    if (contents.has(digest)) return;
    try {
      const bytes = await (await safe).get(digest);
      if (digestBytes(bytes) !== digest) return report('blobs', `${what} has other bytes than its digest`);
      contents.set(digest, bytes);
    } catch (error) {
      report('blobs', `${what} is in the journal, and would not survive a power cut: ${String(error)}`);
    }
  }

  function releaseOf(round: number, plan: RunPlan): ExactRelease | undefined {
    if (plan.privacy === undefined) return undefined;
    const noise = noiseOf(round, plan);
    if (noise === undefined) report('keys', `round ${round} was released without a key in the secret table`);
    return { clipNorm: plan.privacy.clipNorm, denominator: plan.cohortSize, noise: noise ?? new Map() };
  }

  function checkSums({ round, before, params, members }: Committed, plan: RunPlan): void {
    const decoded = (digest: string) => decodeParams(contents.get(digest)!);
    if ([before, params, ...members.map(({ update }) => update)].some((digest) => !contents.has(digest)))
      return;
    const isMasked = plan.secureAggregation !== undefined;
    const updates = members.map(({ owner, update, aggregationWeight, freshWeight }) => ({
      update: isMasked ? decodeParams(trainingOf(owner, update)!.update) : decoded(update),
      weight: aggregationWeight,
      freshWeight: freshWeight ?? aggregationWeight,
    }));
    const expected = exactRound(
      decoded(before),
      updates,
      plan.fixedPoint.tensors[0]!,
      plan.serverLearningRate,
      releaseOf(round, plan),
    );
    if (digestBytes(encodeParams(expected)) !== params)
      report('sums', `the params of round ${round} are not the mean of its ${members.length} members`);
  }

  return {
    async durable(event, state, committed, isLatest) {
      if (event.type === 'created') await keep(event.plan.initialParams, 'the initial params');
      if (event.type === 'update-received' && event.check.ok)
        await keep(event.update, `the update of "${event.owner}" for round ${event.round}`);
      if (event.type === 'aggregated') {
        await keep(event.params, `the params of round ${event.round}`);
        const last = committed.at(-1);
        if (last !== undefined) checkSums(last, state.plan);
      }
      for (const digest of liveBlobs(state))
        if (!(await (await seen).has(digest)) && isLatest())
          report('blobs', `blob ${digest.slice(0, 8)} is in use and not there`);
    },
  };
}
