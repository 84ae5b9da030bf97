/**
 * Types of the client API, made from its OpenAPI document by `npm run docs`. Not edited by hand: a change of the routes
 * shows here, and where the client does not fit any more it does not compile.
 */

export interface Error {
  error: {
    /** @maxLength 100 */
    code: string;
    /** @maxLength 10000 */
    message: string;
    /** @maxLength 2000 */
    hint?: string;
    /**
     * @min 0
     * @max 1000000000000
     */
    retryAfterMs?: number;
    serverTimeMs?: number;
  };
}

export interface JoinPayload {
  /**
   * @minLength 20
   * @maxLength 200
   */
  token: string;
  /** @pattern ^[A-Za-z0-9_-]{43}$ */
  publicKey: string;
  /** @maxLength 100 */
  software: string;
}

export interface JoinData {
  /** @maxLength 100 */
  clientId: string;
  /** @pattern ^[a-z0-9][a-z0-9._-]{0,62}$ */
  owner: string;
  /** @pattern ^[a-z0-9][a-z0-9._-]{0,62}$ */
  run: string;
  manifest: {
    /** @maxLength 262144 */
    text: string;
    /** @pattern ^[A-Za-z0-9_-]{43}$ */
    operatorKey: string;
    /** @pattern ^[A-Za-z0-9_-]{86}$ */
    signature: string;
  };
  serverTimeMs: number;
}

export interface PeekPayload {
  /**
   * @minLength 20
   * @maxLength 200
   */
  token: string;
}

export interface PeekData {
  /** @pattern ^[a-z0-9][a-z0-9._-]{0,62}$ */
  run: string;
  owner: string | null;
  manifest: {
    /** @maxLength 262144 */
    text: string;
    /** @pattern ^[A-Za-z0-9_-]{43}$ */
    operatorKey: string;
    /** @pattern ^[A-Za-z0-9_-]{86}$ */
    signature: string;
  };
}

export interface PeekFilePayload {
  /**
   * @minLength 20
   * @maxLength 200
   */
  token: string;
}

/** @format binary */
export type PeekFileData = File;

export interface ManifestData {
  /** @maxLength 262144 */
  text: string;
  /** @pattern ^[A-Za-z0-9_-]{43}$ */
  operatorKey: string;
  /** @pattern ^[A-Za-z0-9_-]{86}$ */
  signature: string;
}

export interface EnrolPayload {
  /**
   * @exclusiveMin 0
   * @max 1000000000
   */
  numExamples: number;
  /**
   * @exclusiveMin 0
   * @max 1000000000000
   */
  numTokens: number;
  heldOut: {
    /**
     * @min 0
     * @max 1000000000000
     */
    validation: number;
    /**
     * @min 0
     * @max 1000000000000
     */
    test: number;
  };
  lostState: boolean;
}

export interface EnrolData {
  standing: 'waiting' | 'active' | 'quarantined' | 'left';
  status: 'waiting' | 'running' | 'paused' | 'finished' | 'failed' | 'cancelled';
}

export interface TaskData {
  status: 'waiting' | 'running' | 'paused' | 'finished' | 'failed' | 'cancelled';
  task:
    | (
        | {
            kind: 'train';
            /** @maxLength 2000 */
            id: string;
            /**
             * @exclusiveMin 0
             * @max 9007199254740991
             */
            round: number;
            params: {
              /** @pattern ^[0-9a-f]{64}$ */
              digest: string;
              /**
               * @min 0
               * @max 1000000000000
               */
              bytes: number;
            };
            rest: {
              /** @pattern ^[0-9a-f]{64}$ */
              digest: string;
              /**
               * @min 0
               * @max 1000000000000
               */
              bytes: number;
            } | null;
            /** @pattern ^[0-9a-f]{64}$ */
            base: string;
            /**
             * @min 0
             * @max 1000000000000
             */
            steps: number;
            /**
             * @min 0
             * @max 1000000000000
             */
            stepOffset: number;
            /**
             * @min 0
             * @max 1000000000000
             */
            totalSteps: number;
            /** @exclusiveMin 0 */
            clipNorm?: number;
            masking?: {
              /**
               * @exclusiveMin 0
               * @max 9007199254740991
               */
              attempt: number;
              /**
               * @exclusiveMin 0
               * @max 9007199254740991
               */
              weight: number;
              /**
               * @min 0
               * @max 40
               */
              fractionBits: number;
              /** @exclusiveMin 0 */
              range: number;
            };
            remainingMs: number | null;
            /**
             * @min 0
             * @max 1000000000000
             */
            maxUploadBytes: number;
          }
        | {
            kind: 'evaluate';
            /** @maxLength 2000 */
            id: string;
            /** @maxLength 2000 */
            evaluation: string;
            split: 'validation' | 'test';
            params: {
              /** @pattern ^[0-9a-f]{64}$ */
              digest: string;
              /**
               * @min 0
               * @max 1000000000000
               */
              bytes: number;
            };
          }
      )
    | null;
  /**
   * @min 0
   * @max 1000000000000
   */
  round: number;
  /**
   * @min 0
   * @max 1000000000000
   */
  rounds: number;
  reason: string | null;
  result: {
    /** @pattern ^[0-9a-f]{64}$ */
    digest: string;
    /**
     * @min 0
     * @max 1000000000000
     */
    bytes: number;
  } | null;
  /**
   * @min 0
   * @max 1000000000000
   */
  retryAfterMs: number;
}

/** @format binary */
export type BlobData = File;

export interface OpenUploadPayload {
  /** @pattern ^[0-9a-f]{64}$ */
  digest: string;
  /**
   * @exclusiveMin 0
   * @max 1000000000000
   */
  bytes: number;
  /** @maxLength 2000 */
  taskId: string;
}

export interface OpenUploadData {
  /**
   * @exclusiveMin 0
   * @max 9007199254740991
   */
  chunkBytes: number;
  have: number[];
}

/** @format binary */
export type PutChunkPayload = File;

export interface PutChunkData {
  accepted: boolean;
}

export interface SubmitUpdatePayload {
  /**
   * @exclusiveMin 0
   * @max 9007199254740991
   */
  round: number;
  /** @pattern ^[0-9a-f]{64}$ */
  base: string;
  /** @pattern ^[0-9a-f]{64}$ */
  baseModel: string;
  update: {
    /** @pattern ^[0-9a-f]{64}$ */
    digest: string;
    /**
     * @min 0
     * @max 1000000000000
     */
    bytes: number;
  };
  stats: {
    /**
     * @min 0
     * @max 1000000000000
     */
    steps: number;
    /**
     * @min 0
     * @max 1000000000000
     */
    numExamples: number;
    /**
     * @min 0
     * @max 1000000000000
     */
    numTokens: number;
    /**
     * @min 0
     * @max 1000000000000
     */
    numTargets: number;
    meanLoss: number | null;
    lastLoss: number | null;
    figures?: Partial<Record<string, number>>;
  };
  masked?: {
    /**
     * @exclusiveMin 0
     * @max 9007199254740991
     */
    attempt: number;
    /**
     * @exclusiveMin 0
     * @max 9007199254740991
     */
    weight: number;
    envelope?: {
      /** @pattern ^[A-Za-z0-9_-]{107}$ */
      sealed: string;
      /** @pattern ^[A-Za-z0-9_-]{86}$ */
      signature: string;
    };
  };
}

export interface SubmitUpdateData {
  /** @pattern ^[a-z0-9][a-z0-9._-]{0,62}$ */
  run: string;
  /**
   * @exclusiveMin 0
   * @max 9007199254740991
   */
  round: number;
  /** @pattern ^[a-z0-9][a-z0-9._-]{0,62}$ */
  owner: string;
  /** @pattern ^[0-9a-f]{64}$ */
  update: string;
  accepted: boolean;
  code:
    | 'format'
    | 'shape'
    | 'not-finite'
    | 'norm'
    | 'wrong-base'
    | 'stale-round'
    | 'not-asked'
    | 'other-update'
    | 'run-over'
    | 'wrong-mask'
    | null;
  reason: string | null;
}

export interface SecureRoundPayload {
  /**
   * @exclusiveMin 0
   * @max 9007199254740991
   */
  round: number;
  said: {
    /**
     * @exclusiveMin 0
     * @max 9007199254740991
     */
    attempt: number;
    what:
      | {
          step: 'advertise';
          message: {
            /** @pattern ^[a-z0-9][a-z0-9._-]{0,62}$ */
            owner: string;
            /** @pattern ^[A-Za-z0-9_-]{43}$ */
            channelKey: string;
            /** @pattern ^[A-Za-z0-9_-]{43}$ */
            maskKey: string;
            /** @pattern ^[A-Za-z0-9_-]{86}$ */
            signature: string;
          };
        }
      | {
          step: 'share';
          message: {
            /** @pattern ^[A-Za-z0-9_-]{43}$ */
            commitment: string;
            /** @maxItems 1000 */
            sealed: {
              /** @pattern ^[a-z0-9][a-z0-9._-]{0,62}$ */
              to: string;
              /** @pattern ^[A-Za-z0-9_-]{126}$ */
              share: string;
            }[];
          };
        }
      | {
          step: 'confirm';
          message: {
            /** @pattern ^[a-z0-9][a-z0-9._-]{0,62}$ */
            owner: string;
            /** @pattern ^[A-Za-z0-9_-]{86}$ */
            signature: string;
          };
        }
      | {
          step: 'unmask';
          message: {
            /** @maxItems 1000 */
            seeds: {
              /** @pattern ^[a-z0-9][a-z0-9._-]{0,62}$ */
              of: string;
              /** @pattern ^[A-Za-z0-9_-]{44}$ */
              share: string;
            }[];
            /** @maxItems 1000 */
            keys: {
              /** @pattern ^[a-z0-9][a-z0-9._-]{0,62}$ */
              of: string;
              /** @pattern ^[A-Za-z0-9_-]{44}$ */
              share: string;
            }[];
          };
        }
      | {
          step: 'leave';
          message: {
            /** @maxLength 2000 */
            reason: string;
          };
        };
  } | null;
  /**
   * @min 0
   * @max 60
   */
  wait: number;
}

export interface SecureRoundData {
  /**
   * @exclusiveMin 0
   * @max 9007199254740991
   */
  attempt: number;
  told:
    | (
        | {
            step: 'advertise';
            attempt: {
              /** @pattern ^[a-z0-9][a-z0-9._-]{0,62}$ */
              run: string;
              /**
               * @exclusiveMin 0
               * @max 9007199254740991
               */
              round: number;
              /**
               * @exclusiveMin 0
               * @max 9007199254740991
               */
              attempt: number;
              /**
               * @exclusiveMin 0
               * @max 9007199254740991
               */
              length: number;
              /** @pattern ^[0-9a-f]{64}$ */
              layout: string;
              /**
               * @exclusiveMin 0
               * @max 9007199254740991
               */
              minOwners: number;
              /**
               * @exclusiveMin 0
               * @max 9007199254740991
               */
              groupSize?: number;
              assumed: {
                /**
                 * @min 0
                 * @max 1
                 */
                adversaries: number;
                /**
                 * @min 0
                 * @max 1
                 */
                dropouts: number;
              };
              /** @maxItems 1000 */
              roster: {
                /** @pattern ^[a-z0-9][a-z0-9._-]{0,62}$ */
                owner: string;
                /** @pattern ^[A-Za-z0-9_-]{43}$ */
                identity: string;
              }[];
            };
            /** @pattern ^[A-Za-z0-9_-]{86}$ */
            signature: string;
          }
        | {
            step: 'share';
            /** @maxItems 1000 */
            adverts: {
              /** @pattern ^[a-z0-9][a-z0-9._-]{0,62}$ */
              owner: string;
              /** @pattern ^[A-Za-z0-9_-]{43}$ */
              channelKey: string;
              /** @pattern ^[A-Za-z0-9_-]{43}$ */
              maskKey: string;
              /** @pattern ^[A-Za-z0-9_-]{86}$ */
              signature: string;
            }[];
          }
        | {
            step: 'mask';
            /** @maxItems 1000 */
            members: string[];
            /** @maxItems 1000 */
            sealed: {
              /** @pattern ^[a-z0-9][a-z0-9._-]{0,62}$ */
              from: string;
              /** @pattern ^[A-Za-z0-9_-]{126}$ */
              share: string;
            }[];
          }
        | {
            step: 'confirm';
            /** @maxItems 1000 */
            survivors: string[];
            /** @maxItems 1000 */
            dropped: string[];
          }
        | {
            step: 'unmask';
            /** @maxItems 1000 */
            confirmations: {
              /** @pattern ^[a-z0-9][a-z0-9._-]{0,62}$ */
              owner: string;
              /** @pattern ^[A-Za-z0-9_-]{86}$ */
              signature: string;
            }[];
          }
      )
    | null;
  over: boolean;
}

export interface SubmitEvaluationPayload {
  /** @maxLength 2000 */
  evaluation: string;
  /** @pattern ^[0-9a-f]{64}$ */
  params: string;
  result: {
    /**
     * @min 0
     * @max 1000000000000
     */
    numExamples: number;
    /**
     * @min 0
     * @max 1000000000000
     */
    numTargets: number;
    scores: Partial<Record<string, number | null>>;
  };
}

export interface SubmitEvaluationData {
  accepted: boolean;
}

export interface ReportFailurePayload {
  /**
   * @exclusiveMin 0
   * @max 9007199254740991
   */
  round: number;
  /** @maxLength 2000 */
  reason: string;
}

export interface ReportFailureData {
  accepted: boolean;
}

export interface LeaveData {
  accepted: boolean;
}

export interface LogData {
  head: {
    /**
     * @min 0
     * @max 1000000000000
     */
    size: number;
    /** @pattern ^[0-9a-f]{64}$ */
    root: string;
    /** @pattern ^[A-Za-z0-9_-]{86}$ */
    signature: string;
  };
  /** @maxItems 128 */
  consistency: string[];
  entry: {
    /** @maxLength 20000 */
    text: string;
    /**
     * @min 0
     * @max 1000000000000
     */
    index: number;
    /** @maxItems 128 */
    path: string[];
  } | null;
}
