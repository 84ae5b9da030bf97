/** Examples and batches: what data readers make and the trainer eats. B sequences, T tokens each, M supervised targets. */

/** One row of a data set after its schema was applied. Text kinds are closed: everything becomes one of these. */
export type Example =
  | { readonly kind: 'chat'; readonly messages: readonly ChatMessage[]; readonly meta: ExampleMeta }
  | {
      readonly kind: 'completion';
      readonly prompt: string;
      readonly completion: string;
      /** The text goes on behind the completion: no end token is learnt or scored. */
      readonly open?: boolean;
      readonly meta: ExampleMeta;
    }
  | { readonly kind: 'text'; readonly text: string; readonly meta: ExampleMeta }
  /** A text and its class: the name, or its number as text. */
  | {
      readonly kind: 'classification';
      readonly text: string;
      readonly label: string;
      readonly meta: ExampleMeta;
    };

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

export interface ExampleMeta {
  /** Where the row came from: `file.jsonl:17`. */
  readonly where: string;
  /** Natural owner, when the data set names one (a column or a file). */
  readonly owner?: string;
  /** Class, for label-skew partitions, stratified samples and per-class reports. */
  readonly label?: string;
  /** Answers to choose from, for multiple-choice evaluation. */
  readonly options?: readonly string[];
  /** What the options stand for, where they are letters. */
  readonly optionTexts?: readonly string[];
  /** Subject or category: figures are also told by it. */
  readonly group?: string;
  /** What stands around the answer in a program that checks it. */
  readonly program?: { readonly before: string; readonly after: string };
}

/** A tokenized example. `supervised[i]` is 1 when token i is a target of the loss (predicted from tokens before it). */
export interface TokenizedExample {
  readonly tokens: Int32Array;
  readonly supervised: Uint8Array;
  /** Number of supervised tokens; 1 for a class. */
  readonly numTargets: number;
  /** The class of the whole sequence, for classifiers: told at its first token. No token is supervised then. */
  readonly classId?: number;
  readonly label?: string;
  /** Of a pair of answers to one prompt: `tokens` hold the chosen one, this the other. */
  readonly rejected?: TokenizedExample;
  /** Of a pair: log-likelihoods of its answers under a reference model, nats. */
  readonly reference?: { readonly chosen: number; readonly rejected: number };
}

/**
 * A batch of static shape. Row-major [B, T]; `segments` isolates packed sequences (0 = padding, equal ids attend to each
 * other); `positions` restart in each segment. Targets index the flattened [B·T] rows whose hidden state predicts them;
 * unused target slots have index 0 and weight 0.
 */
export interface Batch {
  readonly batchSize: number;
  readonly length: number;
  readonly tokens: Int32Array;
  readonly positions: Int32Array;
  readonly segments: Int32Array;
  /** [M] */
  readonly targetIndex: Int32Array;
  readonly targetIds: Int32Array;
  /** 1 for a real target, 0 for an unused slot; the trainer scales by the number of targets in the optimizer step. */
  readonly targetMask: Float32Array;
  /** [M] which example of the input list this target belongs to; −1 for an unused slot. */
  readonly targetExample: Int32Array;
  readonly numTargets: number;
  /** Tokens that are not padding. */
  readonly numTokens: number;
  /** Positions of the batch's examples in the caller's list. */
  readonly exampleIndices: readonly number[];
}
