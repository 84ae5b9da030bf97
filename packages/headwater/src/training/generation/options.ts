/** What one generated text may be asked for, and what is told about each of its tokens. */

import type { PenaltyOptions } from '../penalties.ts';
import type { SamplingOptions, TokenLogprob } from '../sampling.ts';

export interface GenerateOptions extends SamplingOptions, PenaltyOptions {
  readonly maxNewTokens: number;
  /** A token of these ends the text and is not part of it. */
  readonly stopTokenIds: readonly number[];
  readonly seedPath: readonly (string | number)[];
  /** Tell `onToken` log p of each token and of so many most likely ones. Omitted: neither. */
  readonly topLogprobs?: number;
  /** Recompute the whole sequence for each token instead of using the cache (a test oracle). */
  readonly useCache?: boolean;
}

/** Of the model's own distribution, before temperature, cuts and penalties; nats. */
export interface TokenDetails {
  readonly logprob?: number;
  /** Most likely first. */
  readonly top?: readonly TokenLogprob[];
}

/** Called with every new token; the answer 'stop' ends the text with it. */
export type OnToken = (id: number, details: TokenDetails) => unknown;
