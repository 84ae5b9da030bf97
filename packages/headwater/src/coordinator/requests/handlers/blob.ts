/**
 * Bytes for a client: the params of its task, the result, files of the base model. Nothing else, least of all others'
 * updates: a digest that it may not read is as unknown as one that does not exist.
 */

import type { RunState } from '../../../federation/state.ts';
import { chosenRound } from '../../../federation/stopping.ts';
import { taskOf } from '../../../federation/tasks.ts';
import { Refusal } from '../../../federation/wire/refusals.ts';
import type { WireResponse } from '../../../federation/wire/transport.ts';
import type { ByteRange } from '../../../storage/blobs.ts';
import type { LedRun } from '../../lead/led-run.ts';
import type { DownPiece, IncomingRequest } from '../../ports.ts';
import { nothing, once } from '../answers.ts';
import type { ClientCall, HandlerContext } from '../calls.ts';
import { downFor } from '../down.ts';
import { sizeOf } from './sizes.ts';

export async function blob(
  context: HandlerContext,
  { led, client, params, request }: ClientCall<'blob'>,
): Promise<WireResponse> {
  const { digest } = params;
  const { state } = led;
  if (state === undefined || !mayRead(state, client.owner, digest)) {
    const piece = state === undefined ? undefined : await downPiece(led, state, client.owner, digest);
    return piece === undefined
      ? modelFileAnswer(led, digest, request.headers)
      : pieceAnswer(piece, request.headers);
  }
  const { blobs } = context.parts;
  const bytes = await sizeOf(context, digest);
  if (bytes === 0) throw unknownBlob();
  const small = await context.smallBlobs.read(digest, bytes);
  if (small !== undefined)
    return bytesAnswer(digest, bytes, request.headers, ({ offset, length } = { offset: 0, length: bytes }) =>
      once(small.subarray(offset, offset + length)),
    );
  // As it lies there: the client checks the digest, once for both of them.
  const whole = { offset: 0, length: bytes };
  return bytesAnswer(digest, bytes, request.headers, (range = whole) => blobs.stream(digest, range));
}

/** Of the params that this owner is to train from now. */
async function downPiece(
  led: LedRun,
  state: RunState,
  owner: string,
  digest: string,
): Promise<DownPiece | undefined> {
  const work = taskOf(state, owner);
  if (work?.kind !== 'train') return undefined;
  const down = await downFor(led, work);
  if (down === 'gone') throw unknownBlob();
  return [down?.sent, down?.rest ?? undefined].find((piece) => piece?.digest === digest);
}

async function pieceAnswer(
  { digest, bytes, file }: DownPiece,
  headers: IncomingRequest['headers'],
): Promise<WireResponse> {
  const whole = await file();
  return bytesAnswer(digest, bytes, headers, ({ offset, length } = { offset: 0, length: bytes }) =>
    once(whole.subarray(offset, offset + length)),
  );
}

function mayRead(state: RunState, owner: string, digest: string): boolean {
  if (taskOf(state, owner)?.params === digest) return true;
  return state.status === 'finished' && chosenRound(state)?.params === digest;
}

/** Throws `blob-unknown`. */
export async function modelFileAnswer(
  led: LedRun,
  digest: string,
  headers: IncomingRequest['headers'],
): Promise<WireResponse> {
  // The works of a run that is over are closed.
  if (led.record.over !== null) throw unknownBlob();
  const works = await led.works();
  const file = works.manifest.model.files.find((known) => known.digest === digest);
  if (file === undefined || works.modelFile(digest, { offset: 0, length: 0 }) === undefined)
    throw unknownBlob();
  return bytesAnswer(digest, file.bytes, headers, (range) => works.modelFile(digest, range) ?? nothing());
}

function unknownBlob(): Refusal {
  return new Refusal('blob-unknown', 'there is no such blob for this client', {
    hint: 'Ask for the task again.',
  });
}

function bytesAnswer(
  digest: string,
  bytes: number,
  headers: IncomingRequest['headers'],
  stream: (range?: ByteRange) => AsyncIterable<Uint8Array>,
): WireResponse {
  const etag = `"${digest}"`;
  const common = {
    etag,
    'accept-ranges': 'bytes',
    // By content: it never changes. But not for everybody.
    'cache-control': 'private, max-age=31536000, immutable',
    'content-type': 'application/octet-stream',
  };
  if (headers['if-none-match'] === etag) return { status: 304, headers: common, body: nothing() };
  const given = headers['if-range'] ?? etag;
  const range = given === etag ? rangeOf(headers.range, bytes) : undefined;
  if (range === undefined)
    return { status: 200, headers: { ...common, 'content-length': String(bytes) }, body: stream() };
  const last = range.offset + range.length - 1;
  const partial = {
    'content-range': `bytes ${range.offset}-${last}/${bytes}`,
    'content-length': String(range.length),
  };
  return { status: 206, headers: { ...common, ...partial }, body: stream(range) };
}

/** RFC 9110 §14; several ranges at once are answered with the whole, as is allowed. Throws `range-refused`. */
function rangeOf(header: string | undefined, bytes: number): ByteRange | undefined {
  const [, first, last] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '') ?? [];
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined;
  const begin = first === '' ? Math.max(0, bytes - Number(last)) : Number(first);
  const end = first === '' || last === '' ? bytes : Math.min(bytes, Number(last) + 1);
  if (begin >= bytes || end <= begin)
    throw new Refusal('range-refused', `the blob has ${bytes} bytes, "${header}" lies outside`);
  return { offset: begin, length: end - begin };
}
