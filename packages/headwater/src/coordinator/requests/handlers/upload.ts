/** Uploads of updates: only what a task of this owner wants, no larger than the plan allows, chunk by chunk. */

import type { RunState } from '../../../federation/state.ts';
import { LIMITS } from '../../../federation/wire/messages.ts';
import { Refusal } from '../../../federation/wire/refusals.ts';
import type { WireResponse } from '../../../federation/wire/transport.ts';
import type { LedRun } from '../../lead/led-run.ts';
import { maxUpdateBytes } from '../../limits.ts';
import { jsonAnswer } from '../answers.ts';
import type { ClientCall, HandlerContext } from '../calls.ts';
import { dryRun } from './dry-run.ts';

export async function openUpload(
  { parts }: HandlerContext,
  { led, client, body }: ClientCall<'openUpload'>,
): Promise<WireResponse> {
  const { digest, bytes, taskId } = body;
  const state = runningState(led);
  const round = roundOfTask(taskId, client.owner);
  await checkSize(led, state, { round, owner: client.owner }, bytes);
  const receipt = dryRun(state, { round, owner: client.owner, update: digest, bytes });
  if (!receipt.accepted)
    throw new Refusal('upload-refused', `no update is wanted: ${receipt.reason ?? receipt.code}`, {
      hint: 'Ask for the task again.',
    });
  led.handedOut.offer(client.clientId, taskId, parts.clock.nowMs());
  // It was counted before: nothing has to be sent, the receipt is there.
  const have = receipt.known
    ? Array.from({ length: Math.ceil(bytes / LIMITS.chunkBytes) }, (_, index) => index)
    : await led.uploads.open(client.clientId, round, digest, bytes);
  return jsonAnswer({ chunkBytes: LIMITS.chunkBytes, have });
}

export async function putChunk(
  { parts }: HandlerContext,
  { led, client, params, body, bodyDigest, request }: ClientCall<'putChunk'>,
): Promise<WireResponse> {
  const { plan } = led.uploads.find(client.clientId, params.digest);
  if (Number(request.headers['content-length'] ?? 0) > plan.chunkBytes)
    throw new Refusal('too-large', `a chunk has at most ${plan.chunkBytes} bytes`);
  if (params.index * plan.chunkBytes >= plan.bytes)
    throw new Refusal('upload-invalid', `the upload has no chunk ${params.index}`);
  await parts.blobs.uploads.putChunk(plan.key, params.index, bodyDigest!, body);
  const bytes = Math.min(plan.chunkBytes, plan.bytes - params.index * plan.chunkBytes);
  parts.observe?.({ type: 'uploaded', run: led.run, bytes });
  return jsonAnswer({ accepted: true });
}

/** Throws `upload-refused`. */
export function runningState({ state, status }: LedRun): RunState {
  if (state !== undefined) return state;
  throw new Refusal('upload-refused', `the run is ${status()}: it asks for nothing yet`);
}

function roundOfTask(taskId: string, owner: string): number {
  const [, round, name] = /^train\/(\d{1,9})\/(.+)$/.exec(taskId) ?? [];
  if (round !== undefined && name === owner) return Number(round);
  throw new Refusal('upload-refused', 'this is no training task of this owner');
}

/** Throws `too-large`. */
async function checkSize(
  led: LedRun,
  { plan }: RunState,
  { round, owner }: { readonly round: number; readonly owner: string },
  bytes: number,
): Promise<void> {
  const most = maxUpdateBytes((await led.works()).updateBytes(plan, round, owner));
  if (bytes > most) throw new Refusal('too-large', `an update of this run has at most ${most} bytes`);
}
