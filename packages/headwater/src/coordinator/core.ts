/**
 * The coordinator without HTTP, files or models: built from its ports alone, so that the fault simulation runs this very code
 * under virtual time. It answers clients, follows the operator, and takes up every run of its store when it starts.
 */

import { sleep } from '../base/clock.ts';
import { messageOf } from '../base/errors.ts';
import { start, step } from '../federation/machine.ts';
import type { Context } from './context.ts';
import { createLeadership } from './lead/leadership.ts';
import { createSmallBlobs } from './lead/small-blobs.ts';
import { DEFAULT_LIMITS } from './limits.ts';
import { createOperator } from './operator.ts';
import { openOperatorKey } from './operator-key.ts';
import type { Coordinator, CoordinatorParts } from './ports.ts';
import { createBuckets } from './requests/buckets.ts';
import type { HandlerContext } from './requests/calls.ts';
import { createRequests } from './requests/requests.ts';
import { createRunLogs } from './run-logs.ts';
import { createGarbage } from './upkeep/garbage.ts';
import { createKeptBlobs } from './upkeep/kept-blobs.ts';

const MAX_ADDRESSES = 10_000;
const MAX_CLIENTS = 100_000;

/** Throws what the store throws. Runs that cannot be taken up are tried again and do not hinder others. */
export async function createCoordinator(parts: CoordinatorParts): Promise<Coordinator> {
  const limits = { ...DEFAULT_LIMITS, ...parts.limits };
  const { log, timers, blobs } = parts;
  const kept = createKeptBlobs(parts, () => leadership.all());
  const garbage = createGarbage(blobs, kept.mayDelete, (cause) =>
    log.warn('blob-not-deleted', { reason: messageOf(cause) }),
  );
  const operatorKey = await openOperatorKey(parts);
  const context: Context = { parts, limits, machine: parts.machine ?? { start, step }, garbage, operatorKey };
  const leadership = createLeadership(context);
  const handlerContext: HandlerContext = {
    ...context,
    leadership,
    failedJoins: createBuckets({
      perSecond: limits.failedJoinsPerMinute / 60,
      burst: limits.failedJoinBurst,
      maxKeys: MAX_ADDRESSES,
    }),
    clientRequests: createBuckets({
      perSecond: limits.requestsPerSecond,
      burst: limits.requestBurst,
      maxKeys: MAX_CLIENTS,
    }),
    sizes: new Map(),
    smallBlobs: createSmallBlobs(blobs),
    logs: createRunLogs(parts.store.journals, operatorKey),
  };
  const requests = createRequests(handlerContext);
  await kept.load();
  await leadership.start();
  await kept.sweep();
  return {
    handle: requests.handle,
    operator: createOperator(handlerContext, kept.expect),
    async close(drainMs) {
      const drained = requests.drain();
      for (const led of leadership.all()) led.release();
      await Promise.race([drained, sleep(timers, drainMs)]);
      await leadership.close();
    },
  };
}
