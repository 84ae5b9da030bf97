/**
 * What a member remembers between the steps: plain JSON, so that it survives a crash. It holds secrets until step 4, which
 * replaces them by the one answer that was given.
 */

import type { Advert, Attempt, SealedShares, SurvivorSets, Unmasking } from './messages.ts';

interface Begun {
  readonly attempt: Attempt;
  readonly owner: string;
}

interface WithKeys extends Begun {
  readonly advert: Advert;
  readonly channelSecret: string;
  readonly maskSecret: string;
}

export interface Advertised extends WithKeys {
  readonly step: 'advertised';
}

interface WithMembers extends WithKeys {
  readonly adverts: readonly Advert[];
  /** b, of the member's own mask. */
  readonly seed: string;
  /** The member's own share of its seed, where it holds one. */
  readonly ownShare: string | null;
}

export interface Shared extends WithMembers {
  readonly step: 'shared';
  readonly message: SealedShares;
}

/** What a neighbour entrusted to this member. */
export interface EntrustedShare {
  readonly from: string;
  readonly key: string;
  readonly seed: string;
}

interface WithShares extends WithMembers {
  /** U2. */
  readonly members: readonly string[];
  readonly entrusted: readonly EntrustedShare[];
}

export interface Masked extends WithShares {
  readonly step: 'masked';
}

export interface Confirmed extends WithShares {
  readonly step: 'confirmed';
  readonly sets: SurvivorSets;
  readonly signature: string;
}

/** No secret is left; the answer can be sent again, another cannot be made. */
export interface Answered extends Begun {
  readonly step: 'answered';
  readonly message: Unmasking;
}

export type ClientState = Advertised | Shared | Masked | Confirmed | Answered;
