/** A client of another run, with a good key for that one, who tries it on this one. Nothing of it may succeed. */

import { toBase64url } from '../src/base/base64url.ts';
import type { Clock } from '../src/base/clock.ts';
import type { Rng } from '../src/base/random.ts';
import { parseJoinToken } from '../src/federation/wire/join-token.ts';
import { bodyDigestOf, signRequest } from '../src/federation/wire/signing.ts';
import type { Transport, WireResponse } from '../src/federation/wire/transport.ts';
import type { Report } from './checkers/violation.ts';
import { virtualSigner } from './client-process.ts';
import { bodyOf } from './network.ts';
import { randomBytes } from './random-bytes.ts';
import type { VirtualTime } from './virtual-time.ts';

export interface IntruderParts {
  readonly time: VirtualTime;
  readonly clock: Clock;
  readonly random: Rng;
  readonly transport: Transport;
  readonly report: Report;
  /** The run that it has no business in. */
  readonly run: string;
  readonly token: string;
  readonly untilMs: number;
}

const hex = (random: Rng) => Buffer.from(randomBytes(random, 32)).toString('hex');

const ATTEMPTS: readonly ((run: string, random: Rng) => readonly ['GET' | 'POST', string, unknown])[] = [
  (run) => ['GET', `/v1/runs/${run}/task?wait=0`, undefined],
  (run) => ['GET', `/v1/runs/${run}/manifest`, undefined],
  (run, random) => ['GET', `/v1/runs/${run}/blobs/${hex(random)}`, undefined],
  (run) => ['POST', `/v1/runs/${run}/leave`, undefined],
  (run) => ['POST', `/v1/runs/${run}/failures`, { round: 1, reason: 'no' }],
  (run) => [
    'POST',
    `/v1/runs/${run}/enrolment`,
    { numExamples: 1000, numTokens: 1, heldOut: { validation: 0, test: 0 }, lostState: false },
  ],
  (run, random) => [
    'POST',
    `/v1/runs/${run}/uploads`,
    { digest: hex(random), bytes: 10, taskId: 'train/1/site-a' },
  ],
];

/** Joins its own run with its token, then tries again and again. */
export async function intrude(parts: IntruderParts): Promise<void> {
  const { time, random, run, token, untilMs } = parts;
  const signer = virtualSigner(randomBytes(random, 32));
  const { secret } = parseJoinToken(token);
  const body = { token: secret, publicKey: toBase64url(signer.publicKey), software: 'intruder' };
  await send(parts, signer, ['POST', '/v1/join', body]);
  while (time.nowMs < untilMs) {
    await new Promise<void>((resolve) => time.after(2000 + 8000 * random.uniform(), resolve));
    const attempt = ATTEMPTS[random.below(ATTEMPTS.length)]!(run, random);
    const response = await send(parts, signer, attempt);
    if (response === undefined) continue;
    await bodyOf(response.body);
    if (response.status < 300)
      parts.report('forgery', `the key of another run was good for ${attempt[0]} ${attempt[1]}`);
  }
}

async function send(
  { transport, clock, random }: IntruderParts,
  signer: ReturnType<typeof virtualSigner>,
  [method, path, value]: readonly ['GET' | 'POST', string, unknown],
): Promise<WireResponse | undefined> {
  const body = value === undefined ? new Uint8Array() : new Uint8Array(Buffer.from(JSON.stringify(value)));
  const bodyDigest = method === 'GET' ? undefined : bodyDigestOf(body);
  const nonce = Buffer.from(randomBytes(random, 16)).toString('base64url');
  const signed = await signRequest(signer, { method, path, bodyDigest, createdMs: clock.nowMs(), nonce });
  const headers = { 'content-type': 'application/json', ...signed };
  return transport(method === 'GET' ? { method, path, headers } : { method, path, headers, body }).catch(
    () => undefined,
  );
}
