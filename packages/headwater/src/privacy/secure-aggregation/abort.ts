/** How a party leaves the protocol when the other side does what the protocol forbids: with a reason from one list. */

import { HeadwaterError } from '../../base/errors.ts';

export const ABORT_REASONS = {
  'too-few-members': 'fewer members than the run promises',
  'roster-mismatch': 'a member is not in the roster',
  'bad-signature': 'a signature is not that of the member in the roster',
  'own-keys': 'our own keys are not in the list exactly once as we sent them',
  'repeated-key': 'two members have the same key',
  'bad-key': 'a public key is malformed or of low order',
  'neighbourhood-size': 'the neighbourhood is smaller than the threshold',
  'unexpected-share': 'a share is from nobody it may be from',
  'missing-share': 'a neighbour has sent no share',
  'bad-share': 'a share cannot be opened or is malformed',
  'bad-sets': 'the lists of survivors and of the dropped contradict each other or what was said before',
  'not-a-survivor': 'we are not among the survivors',
  'inconsistent-survivors': 'too few neighbours confirm the same survivors',
  'not-as-signed': 'the attempt is not what the operator signed',
  'wrong-step': 'this step was done already, or is not the next one',
} as const;

export type AbortReason = keyof typeof ABORT_REASONS;

/** `detail`: names and figures. */
export function aborted(reason: AbortReason, detail: string): HeadwaterError {
  return new HeadwaterError('SECURE_AGGREGATION_ABORTED', `${reason}: ${ABORT_REASONS[reason]} (${detail})`, {
    hint: 'What was sent stays masked, and the secrets of this attempt are erased. Ask the operator what happened in this round.',
  });
}
