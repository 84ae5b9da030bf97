/** What clients keep between rounds: it must be what their last accepted training left, or nothing for one that lost it. */

import { digestBytes } from '../../src/base/canonical.ts';
import type { Report } from './violation.ts';

export interface KeptWatch {
  training(owner: string, round: number, kept: Uint8Array | undefined): void;
  trained(owner: string, training: Training): void;
  /** From which params an update was trained, and for which round; undefined: by nobody here. */
  trainingOf(owner: string, update: string): Pick<Training, 'round' | 'params'> | undefined;
  /** The owner's folder is gone. */
  lost(owner: string): void;
}

export interface Training {
  readonly round: number;
  readonly params: string;
  readonly update: Uint8Array;
  readonly kept: Uint8Array | undefined;
}

/** `acceptedOf`: updates of an owner that were accepted, in order. */
export function watchKept(report: Report, acceptedOf: (owner: string) => readonly string[]): KeptWatch {
  /** By owner, by update: what the training left. */
  const left = new Map<string, Map<string, string | undefined>>();
  const digest = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : digestBytes(bytes));
  const trainings = new Map<string, Pick<Training, 'round' | 'params'>>();
  return {
    trainingOf: (owner, update) => trainings.get(`${owner} ${update}`),
    training(owner, round, kept) {
      const own = left.get(owner) ?? new Map<string, string | undefined>();
      const last = acceptedOf(owner).findLast((update) => own.has(update));
      const expected = last === undefined ? undefined : own.get(last);
      if (digest(kept) !== expected)
        report(
          'kept',
          `"${owner}" trains in round ${round} with other things than its last accepted training left`,
        );
    },
    trained(owner, { round, params, update, kept }) {
      trainings.set(`${owner} ${digestBytes(update)}`, { round, params });
      const own = left.get(owner) ?? new Map<string, string | undefined>();
      left.set(owner, own.set(digestBytes(update), digest(kept)));
    },
    lost(owner) {
      left.delete(owner);
    },
  };
}
