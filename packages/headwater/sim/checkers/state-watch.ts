/**
 * The states of a run as its journal says, beside those that drivers show: they must be equal, event for event. Also that
 * what was accepted is still there, and that no blob in use is missing.
 */

import { isDeepStrictEqual } from 'node:util';
import { canonicalJson } from '../../src/base/canonical.ts';
import type { Machine } from '../../src/coordinator/ports.ts';
import type { RunEvent } from '../../src/federation/events.ts';
import { entryOf, type RunState } from '../../src/federation/state.ts';
import type { WireReceipt } from '../../src/federation/wire/messages.ts';
import type { Report } from './violation.ts';

export interface StateWatch {
  /** After the last durable event. */
  readonly state: RunState | undefined;
  durable(seq: number, event: RunEvent): void;
  /** What a driver says it has become after an event. */
  shown(seq: number, event: RunEvent, state: RunState): void;
  promised(receipt: WireReceipt): void;
}

/** `isVoid`: masked for an attempt that was abandoned. */
export function watchStates(
  machine: Machine,
  report: Report,
  isVoid: (owner: string, update: string) => boolean,
): StateWatch {
  const states: RunState[] = [];
  const promises: WireReceipt[] = [];

  function checkPromises(state: RunState): void {
    if (state.open === undefined) return;
    for (const { owner, update } of promises) {
      if (isVoid(owner, update)) continue;
      const waits = entryOf(state.open.accepted, owner)?.update === update;
      const counted = state.closed.some(({ members }) => entryOf(members, owner) === update);
      if (!waits && !counted)
        report('acknowledged', `the accepted update ${update.slice(0, 8)} of "${owner}" was forgotten`);
    }
  }

  return {
    get state() {
      return states.at(-1);
    },
    durable(seq, event) {
      const before = states.at(-1);
      const { state } =
        before === undefined && event.type === 'created'
          ? machine.start(event.plan)
          : machine.step(before!, event);
      if (state === before && event.type !== 'resumed')
        report(
          'journal',
          `entry ${seq} ("${event.type}") changes nothing: ${canonicalJson(event).slice(0, 300)}`,
        );
      states.push(state);
      checkPromises(state);
    },
    shown(seq, event, state) {
      const durable = states[seq - 1];
      if (durable === undefined) {
        report('journal', `a driver went on from entry ${seq}, which is not durable`);
        return;
      }
      // From a snapshot a state comes without keys that are undefined.
      if (isDeepStrictEqual(durable, state) || canonicalJson(durable) === canonicalJson(state)) return;
      const where = firstDifference(durable, state, '');
      report(
        'replay',
        `after entry ${seq} ("${event.type}") a driver is elsewhere than the replay: ${where}`,
      );
    },
    promised(receipt) {
      if (receipt.accepted) promises.push(receipt);
      const state = states.at(-1);
      if (state !== undefined) checkPromises(state);
    },
  };
}

/** Path and values of the first difference. */
function firstDifference(replayed: unknown, shown: unknown, path: string): string {
  if (isObject(replayed) && isObject(shown))
    for (const key of new Set([...Object.keys(replayed), ...Object.keys(shown)]))
      if (JSON.stringify(replayed[key]) !== JSON.stringify(shown[key]))
        return firstDifference(replayed[key], shown[key], `${path}.${key}`);
  return `${path} is ${JSON.stringify(replayed)} in the replay and ${JSON.stringify(shown)} there`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}
