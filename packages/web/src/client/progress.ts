/** What a client's events add up to for whoever watches: what it does, how far it is, what became of each round. Pure. */

import type { Machine, TabEvent } from './messages.ts';

export interface RoundNote {
  readonly round: number;
  readonly loss: number | null;
  /** Undefined: under way. */
  readonly accepted: boolean | undefined;
  readonly reason: string | null;
}

/** What secure aggregation has done for this owner in a round. */
export interface SecureNote {
  readonly round: number;
  readonly done: readonly SecureStep[];
  /** That take part, as far as is known. */
  readonly owners: number | undefined;
  /** Why this browser left the attempt. */
  readonly left: string | undefined;
}

type SecureEvent = Extract<TabEvent, { type: 'secure-round' }>;
export type SecureStep = Exclude<SecureEvent['step'], 'leave'>;

export interface Bar {
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface Progress {
  readonly doing:
    | 'starting'
    | 'downloading'
    | 'preparing'
    | 'waiting'
    /** The run is: by its operator, or because something of its own failed. */
    | 'paused'
    | 'training'
    | 'measuring'
    | 'masking'
    | 'sending'
    | 'over';
  readonly machine: Machine['chosen'] | undefined;
  /** Of the base model. */
  readonly model: (Bar & { readonly path: string; readonly bytesBefore: number }) | undefined;
  readonly sending: Bar | undefined;
  readonly round: number;
  readonly rounds: number;
  readonly step: number;
  readonly steps: number;
  readonly notes: readonly RoundNote[];
  readonly measured: number;
  /** Of the latest round whose updates are masked. */
  readonly secure: SecureNote | undefined;
  /** Since when nobody answers. */
  readonly silentSinceMs: number | undefined;
  readonly nextTryMs: number | undefined;
  readonly lostState: boolean;
}

export const NO_PROGRESS: Progress = {
  ...{ doing: 'starting', machine: undefined, model: undefined, sending: undefined },
  ...{ round: 0, rounds: 0, step: 0, steps: 0, notes: [], measured: 0 },
  secure: undefined,
  ...{ silentSinceMs: undefined, nextTryMs: undefined, lostState: false },
};

export function progressed(before: Progress, event: TabEvent, nowMs: number): Progress {
  if (event.type === 'retry')
    return {
      ...before,
      silentSinceMs: before.silentSinceMs ?? nowMs,
      nextTryMs: nowMs + event.inMs,
    };
  const now = before.silentSinceMs === undefined ? before : { ...before, ...ANSWERED };
  switch (event.type) {
    case 'backend':
      return { ...now, machine: event.machine };
    case 'model-file':
      return { ...now, ...modelFile(event) };
    case 'downloading': {
      const { model } = now;
      // Params of a round are no part of the model.
      if (model === undefined || now.doing !== 'downloading') return now;
      return { ...now, model: { ...model, doneBytes: model.bytesBefore + event.doneBytes } };
    }
    case 'preparing':
      return { ...now, doing: 'preparing' };
    case 'ready':
      return { ...now, doing: 'waiting' };
    case 'waiting':
      return {
        ...now,
        doing: event.paused === true ? 'paused' : 'waiting',
        ...{ round: event.round, rounds: event.rounds },
      };
    case 'task':
      return event.task.kind === 'train'
        ? { ...now, doing: 'training', round: event.task.round, step: 0, steps: event.task.steps }
        : { ...now, doing: 'measuring' };
    case 'step':
      return {
        ...now,
        ...{ doing: 'training', step: event.step, steps: event.steps },
        notes: noted(now.notes, { ...openNote(now), loss: event.loss }),
      };
    case 'uploading':
      return { ...now, doing: 'sending', sending: event };
    case 'receipt': {
      const { round, accepted, reason } = event;
      const loss = now.notes.find((note) => note.round === round)?.loss ?? null;
      return {
        ...now,
        ...{ doing: 'waiting', sending: undefined },
        notes: noted(now.notes, { round, loss, accepted, reason }),
      };
    }
    case 'budget-spent':
      return { ...now, notes: noted(now.notes, { round: event.round, loss: null, ...NOT_TRAINED }) };
    case 'secure-round':
      return {
        ...now,
        doing: DOING[event.step],
        round: event.round,
        secure: secured(now.secure, event),
      };
    case 'evaluated':
      return { ...now, doing: 'waiting', measured: now.measured + 1 };
    case 'lost-state':
      return { ...now, lostState: true };
    case 'over':
      return { ...now, doing: 'over' };
    default:
      return now;
  }
}

const NOT_TRAINED = {
  accepted: false,
  reason: 'not trained, because one more training would cost more privacy than the run promises you',
};

const DOING: Readonly<Record<SecureEvent['step'], Progress['doing']>> = {
  ...{ advertise: 'masking', share: 'masking', mask: 'sending', confirm: 'masking' },
  ...{ unmask: 'waiting', leave: 'waiting' },
};

/** An honest coordinator may run into this as well: owners went away, or one side was started again. It asks for nothing else. */
export function mayBeHonest(reason: string): boolean {
  return /^(too-few-members|wrong-step):/.test(reason);
}

/** A round that begins anew has fresh keys: nothing of an attempt before it counts. */
function secured(before: SecureNote | undefined, { step, round, owners, reason }: SecureEvent): SecureNote {
  const isNew =
    before?.round !== round || step === 'advertise' || (before.left !== undefined && step !== 'leave');
  const note = isNew ? { round, done: [], owners: undefined, left: undefined } : before;
  if (step === 'leave') return { ...note, left: reason ?? '' };
  const done = note.done.includes(step) ? note.done : [...note.done, step];
  return { ...note, done, owners: owners ?? note.owners };
}

const ANSWERED = { silentSinceMs: undefined, nextTryMs: undefined };

type FileEvent = Extract<TabEvent, { type: 'model-file' }>;

/** The last one has no name: all files are there. */
function modelFile({ path, doneBytes, totalBytes }: FileEvent): Pick<Progress, 'doing' | 'model'> {
  return {
    doing: path === '' ? 'preparing' : 'downloading',
    model: { path, doneBytes, totalBytes, bytesBefore: doneBytes },
  };
}

function openNote({ round }: Progress): RoundNote {
  return { round, loss: null, accepted: undefined, reason: null };
}

function noted(notes: readonly RoundNote[], note: RoundNote): readonly RoundNote[] {
  return [...notes.filter(({ round }) => round !== note.round), note];
}
