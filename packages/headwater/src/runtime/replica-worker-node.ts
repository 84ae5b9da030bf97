/**
 * A thread that holds one replica of each session of an executor. It leaves when it is told to, never in the middle of a run:
 * ending a thread inside ONNX Runtime can end the whole process.
 */

import { parentPort } from 'node:worker_threads';
import { type SentError, sent } from '../base/sent-error.ts';
import type { Tensor } from '../base/tensor.ts';
import { type NativeOrder, type NativeSession, openNative } from './native-session-node.ts';

export type ToReplica =
  | { readonly type: 'open'; readonly call: number; readonly session: number; readonly order: NativeOrder }
  | {
      readonly type: 'run';
      readonly call: number;
      readonly session: number;
      readonly inputs: ReadonlyMap<string, Tensor>;
    }
  | { readonly type: 'release'; readonly call: number; readonly session: number }
  | { readonly type: 'stop' };

export type FromReplica =
  | { readonly call: number; readonly outputs: ReadonlyMap<string, Tensor> | undefined }
  | { readonly call: number; readonly error: SentError };

const sessions = new Map<number, NativeSession>();

async function carryOut(message: Exclude<ToReplica, { type: 'stop' }>): Promise<FromReplica> {
  const { call, session } = message;
  if (message.type === 'open') {
    sessions.set(session, await openNative(message.order));
    return { call, outputs: undefined };
  }
  if (message.type === 'run') return { call, outputs: await sessions.get(session)!.run(message.inputs) };
  await sessions.get(session)?.release();
  sessions.delete(session);
  return { call, outputs: undefined };
}

/** One after another, as they came. */
let last: Promise<unknown> = Promise.resolve();

parentPort!.on('message', (message: ToReplica) => {
  last = last.then(async () => {
    if (message.type === 'stop') return parentPort!.close();
    const { call } = message;
    const answer = await carryOut(message).catch((cause) => ({ call, error: sent(cause, 'a run') }));
    parentPort!.postMessage(answer satisfies FromReplica);
  });
});
