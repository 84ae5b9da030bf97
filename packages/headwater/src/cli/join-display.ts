/** What a client does, as lines that stay; in a terminal the line at work is live. Everything goes to stderr. */

import { formatBytes, formatCount, formatDuration, significant } from '../base/format.ts';
import type { JoinEvent } from '../client/join-node.ts';
import type { PreparedRun } from '../jobs/prepare.ts';
import { minOwnersOf } from '../recipe/pace.ts';
import { paint } from './style.ts';

export interface JoinDisplay {
  readonly onEvent: (event: JoinEvent) => void;
  /** Takes the live line away. */
  stop(): void;
}

export function createJoinDisplay(stream: NodeJS.WriteStream): JoinDisplay {
  const words = createWords();
  let live = false;
  const clear = () => {
    if (live) stream.write('\r\x1b[K');
    live = false;
  };
  return {
    onEvent(event) {
      const { line, now } = words(event);
      if (line !== undefined) {
        clear();
        stream.write(`${line}\n`);
      }
      if (now === undefined || !stream.isTTY) return;
      stream.write(`\r\x1b[K${paint.dim(now)}`);
      live = true;
    },
    stop: clear,
  };
}

interface Words {
  /** Stays. */
  readonly line?: string;
  /** Is replaced by the next. */
  readonly now?: string;
}

/** Shorter waits are not worth a line. */
const LONG_WAIT_MS = 3000;

/** Remembers the round and what was said last: waiting is said once. */
function createWords(): (event: JoinEvent) => Words {
  let round = '';
  let rounds = 0;
  let waiting = '';
  let minOwners = 0;
  let lastLoss = Number.NaN;
  return (event) => {
    switch (event.type) {
      case 'joined':
        return { line: `joined the run "${event.run}" as "${event.owner}"` };
      case 'masked':
        return { line: `${event.words}\nyour key is ${event.publicKey}` };
      case 'preparing':
        return { line: `${event.what}: ${event.detail}` };
      case 'prepared':
        rounds = event.prepared.recipe.federation.rounds;
        minOwners = minOwnersOf(event.prepared.recipe);
        return { line: preparedText(event.prepared) };
      case 'hub': {
        const { file, doneBytes, totalBytes } = event.progress;
        return { now: `fetching ${file}  ${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}` };
      }
      case 'lost-state':
        return { line: paint.warn('what was kept from earlier rounds is gone or damaged: starting as new') };
      case 'waiting': {
        const line = waitingText(event, minOwners);
        if (waiting === line) return {};
        waiting = line;
        return { line };
      }
      case 'task':
        waiting = '';
        if (event.task.kind === 'evaluate') return { now: `scoring your ${event.task.split} examples` };
        round = `round ${event.task.round}/${rounds}`;
        return { now: `${round}  training` };
      case 'step':
        lastLoss = event.loss;
        return { now: `${round}  step ${event.step} of ${event.steps}, loss ${event.loss.toFixed(3)}` };
      case 'downloading':
        return { now: `fetching ${formatBytes(event.doneBytes)} of ${formatBytes(event.totalBytes)}` };
      case 'uploading':
        return {
          now: `${round}  sending ${formatBytes(event.doneBytes)} of ${formatBytes(event.totalBytes)}`,
        };
      case 'receipt':
        return { line: receiptText(event, lastLoss) };
      case 'budget-spent':
        return {
          line: paint.warn(
            `round ${event.round}: not trained: one more training would cost ε = ${significant(event.epsilon)}, the run promises ${significant(event.target)}`,
          ),
        };
      case 'secure-round':
        return { line: secureText(event) };
      case 'evaluated':
        return { line: `scored: ${event.evaluation}` };
      case 'retry':
        return event.inMs < LONG_WAIT_MS
          ? { now: event.reason }
          : { line: paint.warn(`${event.reason}; trying again in ${formatDuration(event.inMs)}`) };
      case 'over':
        return { line: `the run is ${event.status}${event.reason === null ? '' : `: ${event.reason}`}` };
    }
  };
}

function waitingText({ round, rounds, paused }: JoinEvent & { type: 'waiting' }, minOwners: number): string {
  if (round === 0) return `waiting for the run to begin, with ${minOwners} owners`;
  return `waiting (round ${round} of ${rounds}${paused === true ? '; the run is paused' : ''})`;
}

type SecureEvent = JoinEvent & { type: 'secure-round' };

/** What the owner's machine did so that nobody sees its update. */
function secureText({ step, round, attempt, owners = 0, reason = '' }: SecureEvent): string {
  const of = `round ${round}: `;
  switch (step) {
    case 'advertise':
      return `${of}${attempt === undefined ? '' : `begins again (attempt ${attempt}), `}sent fresh keys; up to ${owners} owners mask their updates together`;
    case 'share':
      return `${of}gave neighbours sealed shares of the secrets, in case this machine drops out (${owners} owners)`;
    case 'mask':
      return `${of}masked the update: the coordinator can read no more than the sum with the other owners`;
    case 'confirm':
      return `${of}signed who is in the sum: ${owners} owners`;
    case 'unmask':
      return `${of}helped to open the sum and erased the secrets`;
    case 'leave':
      return paint.warn(`${of}left the attempt, what was sent stays masked: ${reason}`);
  }
}

function receiptText({ round, accepted, reason }: JoinEvent & { type: 'receipt' }, loss: number): string {
  const trained = Number.isNaN(loss) ? '' : `, last loss ${loss.toFixed(3)}`;
  return accepted
    ? `round ${round}: update counted${trained}`
    : paint.warn(`round ${round}: update not counted: ${reason ?? 'no reason given'}`);
}

function preparedText({ owners, facts }: PreparedRun): string {
  const { validation, test } = facts.heldOut;
  const heldOut = [
    ...(validation === undefined ? [] : [`${formatCount(validation.numExamples)} to validate`]),
    ...(test === undefined ? [] : [`${formatCount(test.numExamples)} to test`]),
  ];
  const { numExamples = 0, numTokens = 0 } = owners[0] ?? {};
  const train = `${formatCount(numExamples)} examples to train on (${formatCount(numTokens)} tokens)`;
  return [train, ...heldOut].join(', ');
}
