/** Withdrawing from a run that this machine joined: nothing is asked of it any more, and what it sent stays counted. */

import { resolve } from 'node:path';
import { HeadwaterError } from '../base/errors.ts';
import { nodeBasics } from './basics-node.ts';
import { createCaller } from './call.ts';
import { openFileStore } from './file-store-node.ts';
import { httpTransport } from './http-transport-node.ts';
import { joinedBefore, keyBytes } from './identity.ts';
import { type JoinRunOptions, placeOf } from './join-node.ts';
import { persist } from './retry.ts';
import { stateFolder } from './state-folder-node.ts';

export type LeaveRunOptions = Pick<
  JoinRunOptions,
  'url' | 'token' | 'state' | 'caFile' | 'insecure' | 'onEvent' | 'signal'
>;

/**
 * `url`, `token` and `state` as they were given to `joinRun`. The key stays: joining again with the same command comes
 * back. Throws OPTION_INVALID (nothing was joined with this state folder), RUN_LOCKED (a client still works there),
 * REQUEST_REFUSED, CONNECTION_FAILED, INTERRUPTED. An unreachable coordinator is waited for.
 */
export async function leaveRun(
  options: LeaveRunOptions,
): Promise<{ readonly run: string; readonly owner: string }> {
  const { caFile, insecure, onEvent, signal = new AbortController().signal } = options;
  const { url, token } = placeOf(options);
  const folder = resolve(options.state ?? stateFolder(url, token));
  const transport = httpTransport({ url, caFile, insecure });
  const store = await openFileStore(folder);
  try {
    const parts = nodeBasics(transport.send, onEvent);
    const joined = await joinedBefore({ store });
    if (joined === undefined)
      throw new HeadwaterError('OPTION_INVALID', 'nothing was joined from here', {
        where: folder,
        hint: 'Give the invitation that `headwater join` was started with, or its --state folder.',
      });
    const { run, owner } = joined;
    const caller = createCaller(parts, (await parts.signer(keyBytes(joined))).signer);
    await persist(parts, signal, () => caller.json('leave', { params: { run } }, signal));
    return { run, owner };
  } finally {
    store.close();
    await transport.close();
  }
}
