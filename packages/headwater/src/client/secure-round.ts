/**
 * A round whose owners open the masks together, from a trained update to the opened sum: asks the coordinator what comes next, holds it
 * against the signed manifest, answers, and erases its secrets. Whatever looks wrong ends the client's part in the attempt.
 */

import { fromBase64url } from '../base/base64url.ts';
import { canonicalJson } from '../base/canonical.ts';
import { sleep } from '../base/clock.ts';
import { HeadwaterError } from '../base/errors.ts';
import { layoutDigest, type MaskedFile, unmaskedFile } from '../federation/masking/masked-vector.ts';
import { decodeParams } from '../federation/params.ts';
import type { SecureRoundAnswer, SecureSaid, SecureTold } from '../federation/wire/secure-rounds.ts';
import { aborted } from '../privacy/secure-aggregation/abort.ts';
import { advertise } from '../privacy/secure-aggregation/secagg-plus/client.ts';
import {
  answer,
  type MemberParts,
  type Said,
  type Told,
} from '../privacy/secure-aggregation/secagg-plus/member.ts';
import { type Attempt, attemptBytes } from '../privacy/secure-aggregation/secagg-plus/messages.ts';
import { DEFAULT_ADVERSARIES, DEFAULT_DROPOUTS } from '../recipe/secure-aggregation-schema.ts';
import { deliver } from './deliver.ts';
import { interrupted } from './failures.ts';
import type { LogWatch } from './log-watch.ts';
import type { MaskingIdentity } from './masking.ts';
import type { Memory } from './memory.ts';
import { jittered } from './retry.ts';
import type { SecureMemory, SecureRound } from './secure-memory.ts';
import { ask, type Session } from './session.ts';
import { termsOf } from './terms.ts';

export interface SecureDesk {
  readonly session: Session;
  readonly identity: MaskingIdentity;
  readonly memory: Memory;
  readonly secure: SecureMemory;
  readonly watch: LogWatch;
}

const WAIT_SECONDS = 30;
const PAUSE_MS = 200;

/** Until the coordinator expects nothing more of us in this round. A further attempt may be asked for by a task. */
export async function takePart(desk: SecureDesk, begun: SecureRound): Promise<void> {
  const { session, secure } = desk;
  let round = begun;
  let said: { readonly attempt: number; readonly what: SecureSaid } | null = null;
  for (;;) {
    const body = { round: round.round, said, wait: said?.what.step === 'leave' ? 0 : WAIT_SECONDS };
    const next: SecureRoundAnswer = await ask(session, 'secureRound', { body });
    const left = said?.what.step === 'leave';
    said = null;
    if (next.over || left) {
      await secure.change(round, { state: null });
      return;
    }
    if (next.told === null) await pause(session);
    else {
      const taken: Step = await step(desk, round, next.attempt, next.told);
      round = taken.round;
      said = taken.what === undefined ? null : { attempt: next.attempt, what: taken.what };
    }
    if (session.signal.aborted) throw interrupted();
  }
}

function pause({ parts, signal }: Session): Promise<void> {
  return sleep(parts.timers, jittered(PAUSE_MS, parts.entropy), signal);
}

interface Step {
  readonly round: SecureRound;
  readonly what: SecureSaid | undefined;
}

/** A check that fails makes us leave: secrets are erased first. */
async function step(desk: SecureDesk, round: SecureRound, attempt: number, told: SecureTold): Promise<Step> {
  try {
    return told.step === 'advertise'
      ? await enter(desk, round, attempt, told)
      : await go(desk, round, attempt, told);
  } catch (error) {
    if (!(error instanceof HeadwaterError) || error.code !== 'SECURE_AGGREGATION_ABORTED') throw error;
    desk.session.parts.onEvent({
      type: 'secure-round',
      step: 'leave',
      round: round.round,
      reason: error.message,
    });
    const left = await desk.secure.change(round, { state: null });
    return { round: left, what: { step: 'leave', message: { reason: error.message.slice(0, 2000) } } };
  }
}

async function enter(
  desk: SecureDesk,
  round: SecureRound,
  number: number,
  { attempt, signature }: Extract<SecureTold, { step: 'advertise' }>,
): Promise<Step> {
  const { session, identity, secure } = desk;
  await checkAttempt(desk, round, number, attempt, signature);
  const { state } = round;
  // Asked again, because our answer was lost: the same keys.
  if (state?.step === 'advertised' && canonicalJson(state.attempt) === canonicalJson(attempt))
    return { round, what: { step: 'advertise', message: { ...state.advert } } };
  if (number <= round.begun) throw aborted('wrong-step', `attempt ${number} was begun before`);
  const { parts } = session;
  const taken = await advertise(attempt, identity.owner, identity.signer, parts.entropy);
  const next = await secure.change(round, { begun: number, state: taken.state });
  tell(desk, 'advertise', next, attempt.roster.length);
  return { round: next, what: { step: 'advertise', message: { ...taken.message } } };
}

/** The coordinator fixes none of what the owner agreed to. Throws SECURE_AGGREGATION_ABORTED. */
async function checkAttempt(
  { session, identity }: SecureDesk,
  round: SecureRound,
  number: number,
  attempt: Attempt,
  signature: string,
): Promise<void> {
  const { manifest, operatorKey } = identity;
  const { adversaries = DEFAULT_ADVERSARIES, dropouts = DEFAULT_DROPOUTS } =
    termsOf(manifest).secureAggregation ?? {};
  const agreed = { adversaries, dropouts };
  const { length, layout } = layoutOf(fileOf(round), round);
  const expected = { run: manifest.run, round: round.round, attempt: number, length, layout };
  for (const [key, value] of Object.entries(expected))
    if (attempt[key as keyof Attempt] !== value)
      throw aborted('not-as-signed', `${key} is ${attempt[key as keyof Attempt]}, expected ${value}`);
  if (attempt.minOwners < manifest.minCohort)
    throw aborted('not-as-signed', `a sum of ${attempt.minOwners} owners, signed: ${manifest.minCohort}`);
  const { groupSize } = termsOf(manifest).secureAggregation ?? {};
  if (attempt.groupSize !== groupSize)
    throw aborted('not-as-signed', `groups of ${attempt.groupSize ?? 'all'}, signed: ${groupSize ?? 'all'}`);
  for (const rate of ['adversaries', 'dropouts'] as const)
    if (attempt.assumed[rate] !== agreed[rate])
      throw aborted('not-as-signed', `${rate} is ${attempt.assumed[rate]}, signed: ${agreed[rate]}`);
  const bytes = fromBase64url(signature);
  if (bytes === undefined || !(await session.parts.verify(operatorKey, attemptBytes(attempt), bytes)))
    throw aborted('bad-signature', 'of the operator, on the roster');
}

async function go(
  desk: SecureDesk,
  round: SecureRound,
  attempt: number,
  told: Exclude<SecureTold, { step: 'advertise' }>,
): Promise<Step> {
  const { state } = round;
  if (state === null || state.attempt.attempt !== attempt)
    throw aborted('wrong-step', `asked to ${told.step} in attempt ${attempt}, of which we know nothing`);
  const file = told.step === 'mask' ? fileOf(round) : undefined;
  const taken = await answer(state, told as Told, memberParts(desk, file));
  if (taken.said.step === 'mask') return masked(desk, round, taken.state, taken.said.message, file!);
  const opened = taken.said.step === 'unmask' || round.opened;
  const next = await desk.secure.change(round, { state: taken.state, opened });
  tell(desk, told.step, round, countIn(told));
  return { round: next, what: copied(taken.said) };
}

function countIn(told: SecureTold): number | undefined {
  if (told.step === 'share') return told.adverts.length;
  return told.step === 'confirm' ? told.survivors.length : undefined;
}

/** The same, in arrays of its own, as the wire's types want them. */
function copied(said: Exclude<Said, { step: 'mask' }>): SecureSaid {
  return structuredClone(said) as SecureSaid;
}

/** The masked file is durable before the step is, and both before a byte is sent: done again it is the same file. */
async function masked(
  { session, memory, secure, watch, identity, ...desk }: SecureDesk,
  round: SecureRound,
  state: NonNullable<SecureRound['state']>,
  words: Uint32Array | undefined,
  file: MaskedFile,
): Promise<Step> {
  const { taskId, base, stats, keptBytes: kept, masking } = round;
  if (words !== undefined) {
    file.words.set(words);
    const facts = { attempt: state.attempt.attempt, weight: masking.weight };
    await memory.trained({
      ...{ round: round.round, taskId, base, stats, kept },
      update: file.bytes,
      masked: facts,
    });
  }
  const next = await secure.change(round, { state });
  const all = { ...desk, session, memory, secure, watch, identity };
  tell(all, 'mask', round, state.step === 'masked' ? state.members.length : undefined);
  await deliverMasked(all);
  return { round: next, what: undefined };
}

async function deliverMasked({ session, memory, watch, identity }: SecureDesk): Promise<void> {
  const { pending } = memory;
  if (pending === undefined) return;
  await deliver(session, memory, identity.manifest.model.digest, pending, false, watch);
}

/** After a restart: goes on where it stopped. What was masked and not acknowledged is sent again. */
export async function resumeSecureRound(desk: SecureDesk): Promise<void> {
  const round = await desk.secure.load();
  if (round === undefined || round.state === null) return;
  if (desk.memory.pending !== undefined) {
    // Masked, but the step itself was not saved: it is asked for again, and gives the same file.
    if (round.state.step === 'masked') await deliverMasked(desk);
    else await desk.memory.received(false);
  }
  await takePart(desk, round);
}

function memberParts({ session, identity }: SecureDesk, file: MaskedFile | undefined): MemberParts {
  const { verify, entropy } = session.parts;
  const input = () =>
    file === undefined ? Promise.reject(new Error('no vector is masked here')) : Promise.resolve(file.words);
  return { identity: identity.signer, verify, entropy, input };
}

function fileOf({ updateBytes, masking }: SecureRound): MaskedFile {
  return unmaskedFile(decodeParams(updateBytes), masking);
}

function layoutOf(
  file: MaskedFile,
  { updateBytes, masking }: SecureRound,
): Pick<Attempt, 'length' | 'layout'> {
  const tensors = [...decodeParams(updateBytes)].map(([name, { shape }]) => ({ name, shape }));
  return { length: file.words.length, layout: layoutDigest(tensors, masking) };
}

function tell(
  { session }: SecureDesk,
  step: SecureTold['step'],
  { round, begun }: SecureRound,
  owners: number | undefined,
): void {
  const attempt = begun > 1 ? { attempt: begun } : {};
  const many = owners === undefined ? {} : { owners };
  session.parts.onEvent({ type: 'secure-round', step, round, ...attempt, ...many });
}
