/**
 * An update is handed in: its bytes become a durable blob, are looked at, and the machine decides whether it counts. The
 * receipt is given only when the decision is in the journal; asking again gives the same receipt.
 */

import { fromBase64url } from '../../../base/base64url.ts';
import { printable } from '../../../base/printable.ts';
import type { Receipt, UpdateCheck } from '../../../federation/events.ts';
import { attemptOf } from '../../../federation/masking/masking-of.ts';
import type { MaskedFacts } from '../../../federation/masking/secure-aggregation.ts';
import type { RunState } from '../../../federation/state.ts';
import type { MaskedFactsMessage, UpdateRequest } from '../../../federation/wire/messages.ts';
import { Refusal } from '../../../federation/wire/refusals.ts';
import type { WireResponse } from '../../../federation/wire/transport.ts';
import { signedBytes, twoServerContext } from '../../../privacy/secure-aggregation/two-server/envelope.ts';
import type { LedRun } from '../../lead/led-run.ts';
import { maxUpdateBytes } from '../../limits.ts';
import { helperContext, maskFacts } from '../../masks/context.ts';
import { jsonAnswer } from '../answers.ts';
import type { ClientCall, HandlerContext } from '../calls.ts';
import { toldUpdate } from '../withheld.ts';
import { dryRun } from './dry-run.ts';
import { sizeOf } from './sizes.ts';
import { runningState } from './upload.ts';

type UpdateCall = ClientCall<'submitUpdate'>;

export async function submitUpdate(context: HandlerContext, call: UpdateCall): Promise<WireResponse> {
  const { led, client, body } = call;
  const key = `${client.clientId} ${body.round} ${body.update.digest}`;
  // A client that asks again while the first request is under way waits for the same answer.
  const receipt = await led.once(key, () => receive(context, call));
  context.parts.observe?.({ type: 'receipt', run: led.run, code: receipt.code });
  return jsonAnswer(wireReceipt(led, receipt));
}

async function receive(context: HandlerContext, call: UpdateCall): Promise<Receipt> {
  const { led, client, body } = call;
  const state = runningState(led);
  const { round, update } = body;
  const { owner, clientId } = client;
  const expected = dryRun(state, { round, owner, update: update.digest, bytes: update.bytes });
  if (!expected.accepted || expected.known) {
    await led.uploads.close(clientId, round, true);
    return expected;
  }
  const defect = baseDefect(state, body) ?? (await maskDefect(context, call, state));
  if (defect !== undefined) return decide(context, led, client, body, { check: defect, tookMs: 0 });
  return sealAndDecide(context, led, client, body, state);
}

type Sender = Pick<UpdateCall['client'], 'owner' | 'clientId' | 'publicKey'>;

async function sealAndDecide(
  context: HandlerContext,
  led: LedRun,
  sender: Sender,
  body: UpdateRequest,
  state: RunState,
): Promise<Receipt> {
  const { owner, clientId } = sender;
  const { parts, garbage } = context;
  const { round, update } = body;
  const works = await led.works();
  if (update.bytes > maxUpdateBytes(works.updateBytes(state.plan, round, owner)))
    throw new Refusal('too-large', 'an update of this run has fewer bytes');
  const release = await garbage.pin(update.digest);
  try {
    const startedMs = parts.clock.nowMs();
    await parts.blobs.uploads.seal(led.uploads.planOf(clientId, round, update.digest, update.bytes));
    await led.uploads.close(clientId, round, false);
    const facts = { round, owner, bytes: update.bytes };
    // Sealing has just found its digest to be right, so it need not be computed again.
    const bytes = parts.blobs.stream(update.digest, { offset: 0, length: update.bytes }, 'lent');
    const check = await works.check(state.plan, facts, bytes);
    return await decide(context, led, sender, body, { check, tookMs: parts.clock.nowMs() - startedMs });
  } finally {
    release();
    // Kept only if an event refers to it.
    await garbage.collect([update.digest]);
  }
}

async function decide(
  context: HandlerContext,
  led: LedRun,
  { owner, clientId, publicKey }: Sender,
  { round, base, update, stats, masked }: UpdateRequest,
  { check, tookMs }: { readonly check: UpdateCheck; readonly tookMs: number },
): Promise<Receipt> {
  const answeredMs = led.handedOut.answeredMs(clientId, round);
  const { plan } = led.state!;
  const works = await led.works();
  // It may quote what the client has sent.
  const said = check.ok ? check : { ...check, reason: printable(check.reason) };
  const { effects } = await led.submit({
    type: 'update-received',
    round,
    owner,
    update: update.digest,
    personal: null,
    upBytes: update.bytes,
    downBytes: works.downBytes?.(plan, round, owner) ?? (await sizeOf(context, base)),
    ...toldUpdate(led.state!.plan, { check: said, stats }),
    ...(masked === undefined ? {} : { masked: maskedBy(publicKey, masked) }),
    observed: { tookMs, ...(answeredMs === undefined ? {} : { answeredMs }) },
  });
  const receipt = effects.find((effect) => effect.kind === 'receipt');
  if (receipt === undefined) throw new Error('the machine answers every update');
  return receipt;
}

function baseDefect(state: RunState, { round, base, baseModel }: UpdateRequest): UpdateCheck | undefined {
  const { plan, closed } = state;
  const params = round === 1 ? plan.initialParams : closed[round - 2]?.params;
  const wrong = (what: string, got: string, expected: string | undefined): UpdateCheck => ({
    ok: false,
    code: 'wrong-base',
    reason: `it was trained on the ${what} ${short(got)}, this run uses ${short(expected)} in round ${round}`,
  });
  if (baseModel !== plan.baseModel) return wrong('base model', baseModel, plan.baseModel);
  return base === params ? undefined : wrong('params', base, params);
}

/** With the key that signed: its owner may have another one by the time masks are opened. */
function maskedBy(publicKey: string, { envelope, ...facts }: MaskedFactsMessage): MaskedFacts {
  return envelope === undefined ? facts : { ...facts, envelope: { ...envelope, publicKey } };
}

/** A mask that nobody could take away, or none where there should be one. */
async function maskDefect(
  { parts }: HandlerContext,
  { led, client, body }: UpdateCall,
  { plan, open }: RunState,
): Promise<UpdateCheck | undefined> {
  const { round, update, masked } = body;
  const wrong = (reason: string): UpdateCheck => ({ ok: false, code: 'wrong-mask', reason });
  if (plan.secureAggregation === undefined)
    return masked === undefined ? undefined : wrong('it is masked, and this run does not know how');
  if (masked === undefined) return wrong('it is not masked, as this run demands');
  if (plan.secureAggregation.mode === 'secagg-plus')
    // For an attempt that was given up meanwhile it comes too late, which is nobody's fault.
    return open === undefined ||
      masked.attempt !== attemptOf(open) ||
      (await led.secureRounds.mayUpload(client.owner))
      ? undefined
      : wrong('its owner does not take part in this attempt');
  const { attempt, envelope } = masked;
  if (envelope === undefined) return wrong('it comes without the seed of its mask for the helper');
  const facts = maskFacts(await led.works(), plan, round);
  const context = twoServerContext(
    helperContext(led.run, led.record, { round, attempt, base: body.base, facts }),
  );
  const submission = { owner: client.owner, update: update.digest };
  const [key, sealed, signature] = [client.publicKey, envelope.sealed, envelope.signature].map(fromBase64url);
  if (key === undefined || sealed === undefined || signature === undefined)
    return wrong('it is not base64url');
  const valid = await parts.signatures.verify(key, signedBytes(context, submission, sealed), signature);
  return valid
    ? undefined
    : wrong('the signature on the seed of its mask is not the client’s, or for another round');
}

const short = (digest: string | undefined) => (digest === undefined ? 'nothing' : `${digest.slice(0, 8)}…`);

function wireReceipt({ run }: LedRun, { round, owner, update, accepted, code, reason }: Receipt) {
  return { run, round, owner, update, accepted, code, reason: reason?.slice(0, 10_000) ?? null };
}
