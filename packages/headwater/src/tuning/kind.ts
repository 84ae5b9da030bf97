/**
 * A PEFT kind: which tensors are trained, how they enter the network, how they are written in PEFT's format.
 * One file a kind (`lora.ts`, `full.ts`), one line in `registry.ts`. A kind wraps sites; it knows no architecture.
 */

import type { z } from 'zod';
import type { Rng } from '../base/random.ts';
import type { Params, Tensor } from '../base/tensor.ts';
import type { Graph, Value } from '../graph/ir.ts';
import type { LinearShape, Sites } from '../graph/sites.ts';
import type { PerExample } from './per-example.ts';

/**
 * A trainable tensor. Names are the ones of the adapter file (`base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight`),
 * or PEFT's for its parameter where the file holds only what follows from it.
 */
export interface TrainableTensor {
  readonly name: string;
  readonly shape: readonly number[];
}

/** What a kind may know of a model: its modules and parameters by name, sizes, no architecture. */
export interface ModelLayout {
  readonly linears: readonly (LinearShape & { readonly module: string })[];
  readonly parameters: ReadonlyMap<string, readonly number[]>;
  /** Vectors among them that are 0 in a network that has learnt nothing; other vectors are 1. */
  readonly startAtZero: ReadonlySet<string>;
  readonly shape: {
    readonly hiddenSize: number;
    readonly numHiddenLayers: number;
    readonly numAttentionHeads: number;
    readonly numKeyValueHeads: number;
    readonly headDim: number;
    readonly vocabSize: number;
    readonly maxPositionEmbeddings: number;
  };
  readonly objective: 'causal-lm' | 'sequence-classification';
  /** Module whose rows are the embeddings of tokens. */
  readonly tokenEmbedding: string;
  /** What the network multiplies these rows by; 1 in most. */
  readonly embeddingScale: number;
  /** Modules of a classification head, which PEFT saves whole (`modules_to_save`); none in causal models. */
  readonly headModules: readonly string[];
}

/**
 * Positions that a kind puts before every sequence. `tokens`: rows of the sequence with the ids −1 … −count, whose
 * embeddings the kind gives; `cache`: keys and values that every query sees. Either way real tokens start at position count.
 */
export interface VirtualPositions {
  readonly count: number;
  readonly as: 'tokens' | 'cache';
}

/** Dropout masks are graph inputs made from the seed by the trainer: name, shape and keep probability. */
export interface DropoutSite {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dropoutProbability: number;
}

export interface WrapMode {
  /** Switches dropout on. */
  readonly training: boolean;
  /** Values of these trained tensors are copies by example, [B, ..]. */
  readonly perExample?: PerExample | undefined;
}

export interface Wrapped {
  readonly sites: Sites;
  /** Graph inputs of the trainable tensors, by tensor name. */
  readonly trainable: ReadonlyMap<string, Value>;
  readonly dropout: readonly DropoutSite[];
  /** Keys and values [K, P, Dh] before those of a layer, for `virtual.as: cache`. */
  readonly prefix?: (layer: number) => { readonly k: Value; readonly v: Value };
  /** Of the contribution. */
  readonly bypass?: Contribution['bypass'];
}

/** A module whose output grows by `scale · x Aᵀ Bᵀ`; A [R, D], B [E, R]. */
export interface LowRankUpdate {
  readonly module: string;
  readonly a: Tensor<'float32'>;
  readonly b: Tensor<'float32'>;
  readonly scale: number;
}

/** Names of two trained tensors, A [R, D] and B [E, R], that add `scale · x Aᵀ Bᵀ` to a module's output. */
export interface LowRankFactors {
  readonly module: string;
  readonly a: string;
  readonly b: string;
  readonly scale: number;
}

/** W as the checkpoint stores it, flattened → W′ in the same layout, a new array. */
export type MergeWeight = (stored: Float32Array) => Float32Array;

/** Where a contribution gets its values: trained tensors and dropout masks, by the names that its graph gives them. */
export interface TuningInputs {
  trained(tensor: TrainableTensor): Value;
  /** `x` with the elements dropped that the mask of `site` names; not yet scaled by 1 / (1 − p). p = 0: `x`. */
  dropped(x: Value, site: string, dropoutProbability: number): Value;
}

/** A linear module as it is called: x [N, D] → y [N, E]. */
export interface LinearSite {
  readonly x: Value;
  readonly y: Value;
  readonly module: string;
  readonly shape: LinearShape;
  /** The network without deltas. */
  readonly sites: Sites;
}

/**
 * What a kind adds to a network. Contributions of several adapters add up with weights: linear modules give
 * y + Σ wᵢ · deltaᵢ, parameters of the checkpoint become θ + Σ wᵢ (θᵢ − θ). `contribution.ts` applies them.
 */
export interface Contribution {
  /** Added to the output of a linear module; undefined: nothing. */
  readonly delta?: (site: LinearSite) => Value | undefined;
  /** Trained values of checkpoint parameters, by checkpoint name. */
  readonly parameters?: ReadonlyMap<string, Value>;
  /** What a block's adapters alone make of its input, [N, D] → [N, D], where they can act without the block. */
  readonly bypass?: (layer: number, x: Value) => Value;
}

/** How the inputs of a graph follow, outside of it, from the tensors that are held. See `derived.ts`. */
export interface Derivation {
  readonly inputs: readonly TrainableTensor[];
  /** Values of the inputs. Called for every pass: what is dear to compute is for it to remember. */
  forward(params: Params): Params;
  /** Gradients of the inputs at `params` → gradients of all held tensors. */
  backward(grads: Params, params: Params): Params;
}

/** A kind bound to options and a model layout. */
export interface BoundTuning {
  readonly kind: string;
  readonly options: unknown;
  /** Sorted by name. */
  readonly tensors: readonly TrainableTensor[];
  readonly virtual?: VirtualPositions;
  /** Absent: the graph takes in `tensors` as they are. */
  readonly derivation?: Derivation;
  /** Those of `tensors` that no training changes: what the network does not read, or reads as constants. */
  readonly untrained?: ReadonlySet<string>;
  /** All tensors from those that an adapter file holds, where it does not hold all. `init` has done so. */
  extend?(params: Params, random: Rng): Params;
  /** Where linear modules grow by low-rank products and change in no other way: for methods that know factors. */
  readonly factors?: readonly LowRankFactors[];
  /** `wrap` takes `perExample`. Omitted: gradients of single examples take a pass each. */
  readonly perExample?: boolean;
  /**
   * Fresh values, e.g. Kaiming-uniform A and zero B. `full` starts from the checkpoint: `baseValue` reads it as float32.
   * `encode` gives the token ids of a text with the model's tokenizer, for kinds that may start from words.
   */
  init(
    random: Rng,
    baseValue: (name: string) => Promise<Float32Array>,
    encode?: (text: string) => Promise<ArrayLike<number>>,
  ): Promise<Params>;
  /** Declares inputs in `graph` and wraps the frozen sites. */
  wrap(graph: Graph, base: Sites, mode: WrapMode): Wrapped;
  /** The same as a contribution, by which several adapters work together. Absent: the kind cannot be weighted. */
  contribute?(inputs: TuningInputs, mode: { readonly training: boolean }): Contribution;
  /** What the adapter file holds, where that is not the trained tensors themselves (p-tuning keeps only its embeddings). */
  adapterTensors?(params: Params): Params;
  /**
   * Checkpoint tensors with which the base alone computes what base and adapter compute, by name. Absent where no base
   * weight can hold the adapter (it adds positions or modules).
   */
  merged?(params: Params): ReadonlyMap<string, MergeWeight>;
  /** The whole adapter as low-rank updates, for formats that know nothing else. Absent where it is not that. */
  lowRank?(params: Params): readonly LowRankUpdate[];
  /** adapter_config.json without base_model_name_or_path; undefined for kinds that write whole checkpoints (full). */
  adapterConfig(): Record<string, unknown> | undefined;
}

export interface TuningKind<O> {
  readonly id: string;
  readonly summary: string;
  readonly options: z.ZodType<O>;
  bind(options: O, layout: ModelLayout): BoundTuning;
  /** Options from a PEFT adapter_config.json of this kind; undefined when it is another kind's. Throws ADAPTER_INVALID on unsupported settings. */
  fromAdapterConfig(config: Record<string, unknown>): O | undefined;
  /**
   * As `bind` for options read from somebody's adapter: what matches nothing in the model is dropped, not refused, and the
   * tensors are those that the file holds. `config` is the file. Omitted: `bind`.
   */
  bindAdapter?(options: O, layout: ModelLayout, config: Readonly<Record<string, unknown>>): BoundTuning;
}
