/** What tests ask the worker of the test page. It passes from Node through a page, so it is JSON. */

import type { TrainOptions } from '../../../headwater/src/training/engine.ts';
import type { Backend, BackendChoice, BrowserFacts } from '../../src/engine/backend.ts';

export interface OpenRequest {
  readonly backend?: Backend;
  readonly threads?: number;
  readonly noFallback?: boolean;
  readonly prepack?: boolean;
  readonly kernels?: 'cpu' | 'portable';
  readonly maxWeightBytes?: number;
  /** URL of the model folder. */
  readonly model: string;
  readonly files: readonly { readonly path: string; readonly digest: string; readonly bytes: number }[];
  readonly tuning: { readonly kind: string; readonly options: object };
}

export interface Opened {
  readonly choice: BackendChoice;
  /** Files that were not in the store. */
  readonly fetched: readonly string[];
  readonly fetchMs: number;
}

export interface PlainExample {
  readonly tokens: readonly number[];
  readonly supervised: readonly number[];
}

export interface Subject {
  /** A safetensors file in base64. */
  readonly params: string;
  readonly examples: readonly PlainExample[];
}

export interface Commands {
  facts(input: null): Promise<BrowserFacts>;
  open(input: OpenRequest): Promise<Opened>;
  gradients(input: Subject & { readonly maxLength: number }): Promise<{ loss: number; grads: string }>;
  /** `times`: milliseconds of each step. */
  train(
    input: Subject & { readonly options: TrainOptions },
  ): Promise<{ params: string; meanLoss: number; times: number[] }>;
}
