/** What a plan says about secure aggregation, and what events and tasks carry of it. Data; it knows no keys and no bytes. */

/** What a plan says; absent: the coordinator sees each update. */
export interface SecureAggregation {
  /**
   * two-server: masks are opened by a helper that another party runs. secagg-plus: by the owners themselves, in rounds of messages
   * (Bell et al. 2020).
   */
  readonly mode: SecureAggregationMode;
  /** Updates of a group: only the sums of groups are opened, a robust rule is over their means. Absent: one sum of all. */
  readonly groupSize?: number;
  /** secagg-plus: what neighbourhoods and thresholds are made for. */
  readonly assumed?: { readonly adversaries: number; readonly dropouts: number };
  /** secagg-plus: how long an owner may take for one step. */
  readonly stepMs?: number;
}

/** Owners of a round who open the masks themselves: a list of all of them is one answer. */
export const MAX_SECURE_COHORT = 1000;

export type SecureAggregationMode = 'two-server' | 'secagg-plus';

/** What a client needs to know to mask its update. */
export interface Masking {
  /** Of the round, from 1: what was masked for one cannot be opened in another. */
  readonly attempt: number;
  /** Its integer weight: the update is multiplied by it before it is masked. */
  readonly weight: number;
  /** Of the fixed-point integers that are masked. */
  readonly fractionBits: number;
  readonly range: number;
}

/** What comes with a masked update. */
export interface MaskedFacts {
  readonly attempt: number;
  /** That it was multiplied by. */
  readonly weight: number;
  /** For the helper. */
  readonly envelope?: Envelope;
}

/** The seed of a mask, sealed for the helper, the client's signature on it, and the key that it joined with; base64url. */
export interface Envelope {
  readonly publicKey: string;
  readonly sealed: string;
  readonly signature: string;
}
