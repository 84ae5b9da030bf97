/** What clients keep between rounds: it must be what their last accepted training left, or nothing for one that lost it. */

import { digestBytes } from '../../src/base/canonical.ts';
import type { Report } from './violation.ts';

export interface KeptWatch {
  training(owner: string, round: number, kept: Uint8Array | undefined): void;
  trained(owner: string, training: Training): void;
  /** What was trained is masked, and sent as this. */
  masked(owner: string, update: Uint8Array, sent: string): void;
  /** How an update that was sent was trained; undefined: by nobody here. */
  trainingOf(owner: string, update: string): Omit<Training, 'kept'> | undefined;
  /** The owner's folder is gone. */
  lost(owner: string): void;
}

export interface Training {
  readonly round: number;
  readonly params: string;
  readonly update: Uint8Array;
  readonly kept: Uint8Array | undefined;
}

/** `acceptedOf`: updates of an owner that were accepted, in order. `isVoid`: of an attempt that was abandoned. */
export function watchKept(
  report: Report,
  acceptedOf: (owner: string) => readonly string[],
  isVoid: (owner: string, update: string) => boolean,
): KeptWatch {
  /** By owner, by update: what the training left. */
  const left = new Map<string, Map<string, string | undefined>>();
  const digest = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : digestBytes(bytes));
  const trainings = new Map<string, Omit<Training, 'kept'>>();
  return {
    trainingOf: (owner, update) => trainings.get(`${owner} ${update}`),
    training(owner, round, kept) {
      const own = left.get(owner) ?? new Map<string, string | undefined>();
      const accepted = acceptedOf(owner).filter((update) => own.has(update));
      const last = accepted.findLastIndex((update) => !isVoid(owner, update));
      const expected = last < 0 ? undefined : own.get(accepted[last]!);
      // Whose receipt came before its attempt was abandoned left its things too.
      const others = accepted.slice(last + 1).map((update) => own.get(update));
      if (![expected, ...others].includes(digest(kept)))
        report(
          'kept',
          `"${owner}" trains in round ${round} with other things than its last accepted training left`,
        );
    },
    trained(owner, { round, params, update, kept }) {
      trainings.set(`${owner} ${digestBytes(update)}`, { round, params, update });
      const own = left.get(owner) ?? new Map<string, string | undefined>();
      left.set(owner, own.set(digestBytes(update), digest(kept)));
    },
    masked(owner, update, sent) {
      const [trained, own] = [digestBytes(update), left.get(owner)];
      const training = trainings.get(`${owner} ${trained}`);
      if (training !== undefined) trainings.set(`${owner} ${sent}`, training);
      if (own?.has(trained) === true) own.set(sent, own.get(trained));
    },
    lost(owner) {
      left.delete(owner);
    },
  };
}
