/** What tests ask the worker of the test page. It passes from Node through a page, so it is JSON. */

import type { TrainOptions } from '../../../headwater/src/training/engine.ts';
import type { Backend, BackendChoice, BrowserFacts, WeightFormat } from '../../src/engine/backend.ts';
import type { SecureTranscript } from './secure-transcript.ts';

export interface OpenRequest {
  readonly backend?: Backend;
  readonly threads?: number;
  readonly noFallback?: boolean;
  readonly prepack?: boolean;
  readonly kernels?: 'cpu' | 'portable';
  readonly maxWeightBytes?: number;
  /** Default: stored, on WebGPU float32. */
  readonly weights?: WeightFormat;
  /** Linear modules as blocks of small integers, rounded in the tab. */
  readonly quantized?: { readonly bits: 4 | 8; readonly blockSize: 32 | 64 };
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
  /** Bytes of the file that is coming, or came last. */
  downloaded(input: null): Promise<number>;
  /** What the next commands train; large, so that none of them has to carry it while the page is watched. */
  take(input: Subject): Promise<void>;
  gradients(input: { readonly maxLength: number }): Promise<{ loss: number; grads: string }>;
  /** Sums of −log p, one an example. */
  score(input: { readonly maxLength: number }): Promise<number[]>;
  train(input: TrainOptions): Promise<Trained>;
  /** Params after the last training. */
  trained(input: null): Promise<string>;
  /** Floating-point operations per second, in 10⁹, of products [256, 256]·[256, 1024]. */
  matmulSpeed(input: null): Promise<number>;
  /** What secure aggregation makes in this tab from fixed randomness; `portable`: where the browser has no X25519. */
  secure(input: { readonly portable: boolean }): Promise<SecureTranscript>;
}

export interface Trained {
  readonly meanLoss: number;
  readonly numTokens: number;
  /** Milliseconds of each step. */
  readonly times: readonly number[];
  /** Of these, milliseconds inside ONNX Runtime. */
  readonly insideMs: number;
}
