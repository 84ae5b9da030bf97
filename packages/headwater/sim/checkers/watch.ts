/** All checkers of one simulation together: what each of them is shown, and the first violation that one reports. */

import type { Machine, RunWorks } from '../../src/coordinator/ports.ts';
import type { RunEvent } from '../../src/federation/events.ts';
import type { RunState } from '../../src/federation/state.ts';
import type { Blobs } from '../../src/storage/blobs.ts';
import type { VirtualTime } from '../virtual-time.ts';
import { watchBlobs } from './blob-watch.ts';
import { type JournalWatch, watchJournals } from './journal-watch.ts';
import { type KeptWatch, watchKept } from './kept-watch.ts';
import { createLedger, type Ledger } from './ledger.ts';
import { type MaskWatch, watchMasks } from './mask-watch.ts';
import { type RequestWatch, watchRequests } from './request-watch.ts';
import { type StateWatch, watchStates } from './state-watch.ts';
import { type Report, Violation } from './violation.ts';

export interface Watch {
  readonly report: Report;
  readonly violation: Violation | undefined;
  readonly ledger: Ledger;
  readonly journals: JournalWatch;
  readonly states: Pick<StateWatch, 'state' | 'shown'>;
  readonly requests: RequestWatch;
  readonly kept: KeptWatch;
  readonly masks: MaskWatch;
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
  const blobs = watchBlobs(safe, seen, report, kept.trainingOf);
  const journals = watchJournals(
    () => time.nowMs,
    report,
    (journal, seq, json) => {
      if (journal !== run) return;
      const event = json as unknown as RunEvent;
      masks.durable(event);
      ledger.durable(seq, event);
      states.durable(seq, event);
      const state = states.state!;
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
    journals,
    states,
    requests,
    kept,
    masks,
    works: (works) => ({
      ...works,
      aggregate(work, ...rest) {
        ledger.aggregating(work);
        return works.aggregate(work, ...rest);
      },
    }),
    published: (params) => ledger.published(params),
  };
}
