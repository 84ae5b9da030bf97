/**
 * A member as one function of its memory and of what it is told: each step once and in order. What was said before is said
 * again in the same words, and never in others, whatever the server asks.
 */

import { canonicalJson } from '../../../base/canonical.ts';
import { aborted } from '../abort.ts';
import { confirmSurvivors, type Entropy, type Identity, maskInput, shareKeys, unmask } from './client.ts';
import type { ClientState } from './client-state.ts';
import type {
  Advert,
  Confirmation,
  SealedShares,
  SharesForMember,
  SurvivorSets,
  Unmasking,
} from './messages.ts';
import type { Verify } from './session.ts';

/** What the server tells a member, by the step that it asks for. */
export type Told =
  | { readonly step: 'share'; readonly adverts: readonly Advert[] }
  | ({ readonly step: 'mask' } & SharesForMember)
  | ({ readonly step: 'confirm' } & SurvivorSets)
  | { readonly step: 'unmask'; readonly confirmations: readonly Confirmation[] };

export type Said =
  | { readonly step: 'share'; readonly message: SealedShares }
  /** Undefined: it was made before, and lies where the caller put it. */
  | { readonly step: 'mask'; readonly message: Uint32Array<ArrayBuffer> | undefined }
  | { readonly step: 'confirm'; readonly message: Confirmation }
  | { readonly step: 'unmask'; readonly message: Unmasking };

export interface MemberParts {
  readonly identity: Identity;
  readonly verify: Verify;
  readonly entropy: Entropy;
  /** The vector; asked for in step 2 only. */
  readonly input: () => Promise<Uint32Array>;
}

/**
 * The state that follows and the answer; the state must be durable before the answer leaves. Throws
 * SECURE_AGGREGATION_ABORTED: then everything the member remembers of the attempt is to be erased.
 */
export async function answer(
  state: ClientState,
  told: Told,
  parts: MemberParts,
): Promise<{ readonly state: ClientState; readonly said: Said }> {
  if (told.step === 'share' && state.step === 'advertised') {
    const { state: next, message } = await shareKeys(state, told.adverts, parts.verify, parts.entropy);
    return { state: next, said: { step: 'share', message } };
  }
  if (told.step === 'mask' && state.step === 'shared') {
    const { state: next, message } = await maskInput(state, told, await parts.input());
    return { state: next, said: { step: 'mask', message } };
  }
  if (told.step === 'confirm' && state.step === 'masked') {
    const { survivors, dropped } = told;
    const { state: next, message } = await confirmSurvivors(state, { survivors, dropped }, parts.identity);
    return { state: next, said: { step: 'confirm', message } };
  }
  if (told.step === 'unmask' && state.step === 'confirmed') {
    const { state: next, message } = await unmask(state, told.confirmations, parts.verify);
    return { state: next, said: { step: 'unmask', message } };
  }
  return { state, said: saidBefore(state, told) };
}

function saidBefore(state: ClientState, told: Told): Said {
  if (told.step === 'share' && state.step === 'shared' && same(told.adverts, state.adverts))
    return { step: 'share', message: state.message };
  if (told.step === 'mask' && state.step === 'masked' && same(told.members, state.members))
    return { step: 'mask', message: undefined };
  if (told.step === 'confirm' && state.step === 'confirmed') {
    const { survivors, dropped } = told;
    if (same({ survivors, dropped }, state.sets))
      return { step: 'confirm', message: { owner: state.owner, signature: state.signature } };
  }
  if (told.step === 'unmask' && state.step === 'answered') return { step: 'unmask', message: state.message };
  throw aborted('wrong-step', `asked to ${told.step}, we have ${state.step}`);
}

function same(a: unknown, b: unknown): boolean {
  return canonicalJson(a) === canonicalJson(b);
}
