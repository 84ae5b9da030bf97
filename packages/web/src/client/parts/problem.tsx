/** What went wrong, in words of the page, and what to do. What was finished is kept in every case. */

import type { ReactNode } from 'react';
import type { TabError } from '../tab-worker.ts';

interface Words {
  readonly title: string;
  /** Takes the place of the hint, which may speak of the command line. */
  readonly advice?: string;
  readonly again?: string;
}

const WORDS: Readonly<Record<string, Words>> = {
  JOIN_REFUSED: {
    title: 'The coordinator does not let this browser in',
    advice:
      'An invitation works as often as its operator said, expires, and can be revoked; a client can be excluded. Ask the operator; a new invitation gets a new key. Your files have not left this machine.',
  },
  POLICY_REFUSED: {
    title: 'The run wants more than you allow',
    advice: 'Nothing was joined. Change your limits, or ask the operator to change the run.',
  },
  DATA_INVALID: { title: 'The data cannot be used as they are' },
  DATA_NOT_FOUND: { title: 'A file is missing' },
  MODEL_NOT_FOUND: { title: 'The model is not to be had' },
  STORAGE_FAILED: { title: 'The browser’s storage failed', again: 'Try again' },
  CONNECTION_FAILED: {
    title: 'Something else than the coordinator answered',
    advice:
      'Often a proxy or a sign-in page of the network. What was loaded so far is kept, and loading goes on from there.',
    again: 'Try again',
  },
  RUN_LOCKED: { title: 'This run is open in another tab', again: 'Try again' },
  OUT_OF_MEMORY: {
    title: 'The memory is too small',
    advice: 'Close other tabs and programs and go on; what was finished is kept.',
    again: 'Go on',
  },
  RUNTIME_FAILED: {
    title: 'The engine failed',
    advice: 'Go on: the task is done again. If it fails again, choose another way to compute.',
    again: 'Go on',
  },
  DEVICE_UNAVAILABLE: { title: 'This browser cannot compute in this way', again: 'Try again' },
  TRAINING_DIVERGED: { title: 'Training went astray' },
  OPTION_INVALID: { title: 'That does not fit' },
  MODEL_UNSUPPORTED: { title: 'This model cannot do that' },
  LOG_FORKED: {
    title: 'The run’s log is not the one that was seen before',
    advice:
      'The operator signs a log of everything that happens in the run, and this browser remembers how far it has seen it. What it is shown now does not continue that: the operator may be telling owners different stories, or has restored a backup. Ask the operator over another way, and compare with other owners. What was trained is kept.',
    again: 'Look again',
  },
  SECURE_AGGREGATION_ABORTED: {
    title: 'This browser refused to go on with the masks',
    advice:
      'It was asked for something that could have shown your update, so it stopped and erased the secrets of this attempt. What was sent stays masked. Ask the operator what happened.',
    again: 'Go on',
  },
  REQUEST_REFUSED: { title: 'The coordinator refused', again: 'Try again' },
};

interface ProblemProps {
  readonly error: unknown;
  readonly title?: string;
  readonly retry?: (() => void) | undefined;
  /** What else can be done. */
  readonly more?: ReactNode;
}

export function Problem({ error, title, retry, more }: ProblemProps) {
  const { code, message, hint } = error as Partial<TabError>;
  const words = WORDS[code ?? ''] ?? { title: 'That did not work', again: 'Try again' };
  const advice = words.advice ?? hint;
  return (
    <div className="note bad" role="alert">
      <p className="label">{title ?? words.title}</p>
      <p className="lines">{message ?? String(error)}</p>
      {advice !== undefined && <p className="lines">{advice}</p>}
      {retry !== undefined && words.again !== undefined && (
        <button type="button" className="small" onClick={retry}>
          {words.again}
        </button>
      )}
      {more}
    </div>
  );
}
