/** Requests for runs that another process leads. */

import { messageOf } from '../../base/errors.ts';
import type { WireResponse } from '../../federation/wire/transport.ts';
import type { IncomingRequest } from '../ports.ts';
import { unavailable } from './answers.ts';
import type { HandlerContext } from './calls.ts';

/** To the process that leads the run. */
export async function passOn(
  { parts }: HandlerContext,
  node: string,
  request: IncomingRequest,
): Promise<WireResponse> {
  if (parts.forward === undefined) throw unavailable('another process leads the run');
  try {
    return await parts.forward(node, request);
  } catch (cause) {
    parts.log.warn('not-forwarded', { node, reason: messageOf(cause) });
    throw unavailable('the process that leads the run cannot be reached');
  }
}
