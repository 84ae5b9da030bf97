/** All checkers of one simulation together: what each of them is shown, and the first violation that one reports. */

import type { Machine, RunWorks } from '../../src/coordinator/ports.ts';
import type { RunEvent } from '../../src/federation/events.ts';
import type { RunState } from '../../src/federation/state.ts';
import type { Blobs } from '../../src/storage/blobs.ts';
import type { Store } from '../../src/storage/store.ts';
import type { VirtualTime } from '../virtual-time.ts';
import { watchBlobs } from './blob-watch.ts';
import { watchCharges } from './charge-watch.ts';
import { watchJournals } from './journal-watch.ts';
import { type KeptWatch, watchKept } from './kept-watch.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { type MaskWatch, watchMasks } from './mask-watch.ts';
import { type NoiseWatch, watchNoise } from './noise-watch.ts';
import { type RequestWatch, watchRequests } from './request-watch.ts';
import { type StateWatch, watchStates } from './state-watch.ts';
import { type Report, Violation } from './violation.ts';

export interface Watch {
  readonly report: Report;
  readonly violation: Violation | undefined;
  readonly ledger: Ledger;
  readonly states: Pick<StateWatch, 'state' | 'shown'>;
  readonly requests: RequestWatch;
  readonly kept: KeptWatch;
  readonly masks: MaskWatch;
  readonly noise: Pick<NoiseWatch, 'told'>;
  /** The same store, watched. */
  watched(store: Store): Store;
  /** The same works, watched. */
  works(works: RunWorks): RunWorks;
  published(params: string): void;
}

export interface WatchParts {
  readonly time: VirtualTime;
  /** The run that is watched. */
  readonly run: string;
  readonly machine: Machine;
  readonly clocksAgree: boolean;
  /** What a power cut would leave, and what processes see. */
  readonly safe: Promise<Blobs>;
  readonly seen: Promise<Blobs>;
  readonly onEvent: (seq: number, event: RunEvent, state: RunState) => void;
}

export function createWatch({ time, run, machine, clocksAgree, safe, seen, onEvent }: WatchParts): Watch {
  let violation: Violation | undefined;
  const report: Report = (checker, message) => {
    violation ??= new Violation(checker, message, time.nowMs);
  };
  const masks = watchMasks(report);
  const kept = watchKept(report, (owner) => ledger.acceptedOf(owner), masks.isVoid);
  const ledger = createLedger(report, kept.trainingOf, masks);
  const states = watchStates(machine, report, masks.isVoid);
  const noise = watchNoise(run, report);
  const charges = watchCharges(report);
  const blobs = watchBlobs(safe, seen, report, { trainingOf: kept.trainingOf, noiseOf: noise.noiseOf });
  const journals = watchJournals(
    () => time.nowMs,
    report,
    (journal, seq, json) => {
      if (journal !== run) return;
      const event = json as unknown as RunEvent;
      masks.durable(event);
      noise.durable(event, states.state);
      ledger.durable(seq, event);
      states.durable(seq, event);
      const state = states.state!;
      charges.durable(event, ledger.committed, state);
      onEvent(seq, event, state);
      const isLatest = () => states.state === state;
      blobs
        .durable(event, state, [...ledger.committed], isLatest)
        .catch((error) => report('blobs', String(error)));
    },
  );
  const requests = watchRequests(clocksAgree, report, (receipt) => {
    if (receipt.run !== run) return;
    ledger.promised(receipt);
    states.promised(receipt);
  });
  return {
    report,
    get violation() {
      return violation;
    },
    ledger,
    states,
    requests,
    kept,
    masks,
    noise,
    watched: (store) => noise.watched(journals.watched(store)),
    works: (works) => ({
      ...works,
      async aggregate(work, plan, ...rest) {
        ledger.aggregating(work);
        const done = await works.aggregate(work, plan, ...rest);
        if (plan.privacy !== undefined) noise.made(work.round, done.params);
        return done;
      },
    }),
    published: (params) => ledger.published(params),
  };
}
