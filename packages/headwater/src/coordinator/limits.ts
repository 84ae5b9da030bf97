/** What a coordinator takes at most, and how often. What a message may look like is in `federation/wire`. */

import type { CoordinatorLimits } from './ports.ts';

export const DEFAULT_LIMITS: CoordinatorLimits = {
  leaseMs: 15_000,
  snapshotEvents: 1000,
  requestsPerSecond: 50,
  requestBurst: 200,
  failedJoinsPerMinute: 5,
  failedJoinBurst: 20,
};

/** Uploads that a client may have begun and not finished. */
export const MAX_OPEN_UPLOADS = 2;

/** An update may be larger than its tensors demand: other headers, padding. */
export function maxUpdateBytes(expectedBytes: number): number {
  return Math.ceil(expectedBytes * 1.05) + 64 * 1024;
}
