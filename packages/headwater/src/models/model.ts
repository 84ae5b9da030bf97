/** What the rest of the house sees of a model. N = B·T rows, D hidden, V vocabulary, H heads, K key-value heads, Dh head dim. */

import type { Value } from '../graph/ir.ts';
import type { BlockFormat } from '../graph/ops/index.ts';
import type { Projection } from '../graph/projection.ts';
import type { LinearShape, Sites } from '../graph/sites.ts';
import type { WeightSource } from '../runtime/executor.ts';

/** Facts that every decoder has, whatever its architecture. */
export interface ModelShape {
  readonly hiddenSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly numKeyValueHeads: number;
  readonly headDim: number;
  readonly vocabSize: number;
  /** Columns of the logits: vocabSize, or the number of classes. */
  readonly numLogits: number;
  readonly maxPositionEmbeddings: number;
  /** Longer sequences are rotated by other angles (LongRoPE): keys cached before they were that long do not fit. */
  readonly longContextAbove?: number;
}

export interface AttendOptions {
  /** Score multiplier, usually 1/√Dh. */
  readonly scale: number;
  /** Sliding window in tokens: query i sees keys j with i − window < j ≤ i. Omitted: full causal attention. */
  readonly window?: number;
  /** Scores s become c · tanh(s / c) before the mask (gemma2). */
  readonly softCap?: number;
  /** Encoders: every query sees every key of its own sequence. */
  readonly bidirectional?: true;
}

/**
 * Attention as the surroundings want it: with packing isolation in training, over a key-value cache in generation.
 * q [B, H, T, Dh], k and v [B, K, T, Dh] (rotary already applied) → [B, H, T, Dh].
 */
export type Attend = (layer: number, q: Value, k: Value, v: Value, options: AttendOptions) => Value;

/**
 * One block of the network, [N, D] → [N, D]: `body` computes it from its input and from values that all blocks share. The
 * surroundings may compute it again in the backward pass instead of keeping what is inside.
 */
export type Block = (layer: number, x: Value, body: (x: Value) => Value) => Value;

export interface ForwardInputs {
  readonly sites: Sites;
  /** int32 [B, T]. */
  readonly tokens: Value;
  /** int32 [B, T]: position of each token inside its own sequence. */
  readonly positions: Value;
  /**
   * Every position is below this; bounds the rotary tables inside the graph. Omitted, or larger than the model's:
   * max_position_embeddings.
   */
  readonly maxPositions?: number;
  /** int32 [B]: tokens of each sequence, those in the cache and those fed now. Omitted: as its largest position says. */
  readonly reach?: Value;
  readonly attend: Attend;
  readonly block: Block;
}

/** What a model learns: the next token at every position, or one class for a whole sequence (told at its first position). */
export type Objective = 'causal-lm' | 'sequence-classification';

/** A linear module that PEFT kinds may target. */
export interface LinearModule extends LinearShape {
  readonly module: string;
}

/** The head of a classifier beyond its formula. */
export interface Classifier {
  /** Class i, column i of the logits, is labels[i]. */
  readonly labels: readonly string[];
  /** Modules that the checkpoint does not hold: matrices start as N(0, initializerRange²), seeded, and biases as 0. */
  readonly freshModules: readonly string[];
  readonly initializerRange: number;
  /** What config.json says of a model saved with this head, where the source may say something else. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** A loaded configuration bound to its architecture: builds graphs, knows names and shapes, holds no weights. */
export interface ModelDefinition {
  /** Hugging Face `model_type`. */
  readonly architecture: string;
  readonly shape: ModelShape;
  /** Checkpoint tensors and shapes, in checkpoint names, tied tensors once. */
  readonly parameters: ReadonlyMap<string, readonly number[]>;
  /** Vectors among them that are 0 in a network that has learnt nothing; other vectors are 1. */
  readonly startAtZero: ReadonlySet<string>;
  /** Other names that checkpoints, or transformers in memory, have for one of these parameters. */
  otherNames(parameter: string): readonly string[];
  /** Linear modules in network order; the last projection to logits is not among them. */
  readonly linears: readonly LinearModule[];
  readonly objective: Objective;
  /** Module whose rows are the embeddings of tokens: `model.embed_tokens`. */
  readonly tokenEmbedding: string;
  /** What the network multiplies these rows by (gemma: √D); 1 in most. */
  readonly embeddingScale: number;
  /** Modules that PEFT saves whole beside an adapter (`modules_to_save`); a classifier's, none for causal models. */
  readonly headModules: readonly string[];
  /** Of a classifier; absent in causal models. */
  readonly classifier?: Classifier;
  /** Final hidden states after the last norm, [N, D]. */
  forward(inputs: ForwardInputs): Value;
  /** From hidden rows [M, D] to logits [M, V], V = classes for a classifier: `graph/projection.ts` says how. */
  output(sites: Sites, rows: Value): Projection;
}

/** Linear modules whose weights are blocks of small integers (`graph/ops/quantized.ts`, `quantized-format.ts`). */
export interface QuantizedWeights extends BlockFormat {
  /** Where they lie. */
  readonly folder: string;
  /** By name. */
  readonly modules: ReadonlyMap<string, LinearModule>;
}

/** A model folder opened: definition, weights where they lie, identity. */
export interface Model {
  /** Folder or hub id as the user wrote it. */
  readonly source: string;
  /** Absolute folder with config.json, shards, tokenizer. */
  readonly folder: string;
  readonly definition: ModelDefinition;
  readonly weights: WeightSource;
  /** Stored dtype of every checkpoint tensor (mixed files exist). */
  readonly storedTypes: ReadonlyMap<
    string,
    { dtype: 'float32' | 'float16' | 'bfloat16'; shape: readonly number[] }
  >;
  /** What the forward pass reads instead of the checkpoint's weights, which `weights` still has. */
  readonly quantized?: QuantizedWeights;
  /** SHA-256 over config and tensor bytes (and how they are rounded), for run identity and the wire; computed once, cached by caller. */
  digest(): Promise<string>;
  /** Token ids that end generation (generation_config.json, else config.json). */
  readonly eosTokenIds: readonly number[];
  readonly bosTokenId: number | undefined;
  readonly padTokenId: number | undefined;
}
