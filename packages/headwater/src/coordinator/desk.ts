/** A run's record and works, and what hinders it: what there is of it before it has a state, and when it is over. */

import { canonicalJson } from '../base/canonical.ts';
import { HeadwaterError, messageOf } from '../base/errors.ts';
import { liveBlobs } from '../federation/outstanding.ts';
import type { RunState } from '../federation/state.ts';
import { PROTOCOL_VERSION } from '../federation/wire/messages.ts';
import { eventsOf } from '../runs/journal-events.ts';
import type { Journal } from '../storage/journal.ts';
import type { Context } from './context.ts';
import type { RunSummary, RunWorks } from './ports.ts';
import { changeRecord, type RunRecord } from './records.ts';

export interface Desk {
  readonly run: string;
  record: RunRecord;
  hindered: string | null;
  works(): Promise<RunWorks>;
  closeWorks(): Promise<void>;
  changeRecord(change: (record: RunRecord) => RunRecord): Promise<void>;
}

export function createDesk(
  { parts }: Context,
  run: string,
  record: RunRecord,
  given: RunWorks | undefined,
): Desk {
  let opened = given === undefined ? undefined : Promise.resolve(given);
  const desk: Desk = {
    run,
    record,
    hindered: null,
    works() {
      opened ??= parts.openWorks(run, desk.record.recipe);
      return opened;
    },
    async closeWorks() {
      const closing = opened;
      opened = undefined;
      // What could not be opened need not be closed.
      const works = await closing?.catch(() => undefined);
      await works?.close();
    },
    async changeRecord(change) {
      const { records } = parts.store;
      const next = await changeRecord(records, 'runs', run, (known) => change(known ?? desk.record));
      if (next !== undefined) desk.record = next;
    },
  };
  return desk;
}

/** The run is over: figures and reports, then its record says so. Repeated at the next start when it fails. */
export async function writeEnd(
  { parts }: Context,
  desk: Desk,
  journal: Journal,
  state: RunState,
): Promise<void> {
  const { status, failure: reason } = state;
  if (status === 'running') return;
  try {
    await (await desk.works()).report(await eventsOf(journal));
    const blobs = [...liveBlobs(state)].sort();
    await desk.changeRecord((record) => ({ ...record, over: { status, reason, blobs } }));
    await desk.closeWorks();
    parts.log.info('run-over', { run: desk.run, status, reason });
    parts.observe?.({ type: 'over', run: desk.run, status, reason });
  } catch (cause) {
    desk.hindered = `the reports could not be written: ${messageOf(cause)}`;
    parts.log.warn('report-failed', { run: desk.run, reason: messageOf(cause) });
  }
}

/** Also of a run that is led elsewhere. */
export function statusOf(state: RunState | undefined, record: RunRecord): RunSummary['status'] {
  if (state === undefined) return record.over?.status ?? (record.paused === null ? 'waiting' : 'paused');
  return state.status === 'running' && state.paused !== null ? 'paused' : state.status;
}

export function recordedReason({ record, hindered }: Desk): string | null {
  return record.over?.reason ?? record.paused ?? hindered;
}

/** What owners agreed to is what runs. Throws RUN_EXISTS. */
export function checkManifest({ run, record }: Desk, works: RunWorks): void {
  const text = canonicalJson({ protocol: PROTOCOL_VERSION, run, ...works.manifest });
  if (text === record.manifest.text) return;
  throw new HeadwaterError('RUN_EXISTS', `the run "${run}" was made from another recipe, model or data`, {
    hint: 'Undo the change to continue it, or serve the changed recipe under another name.',
  });
}
