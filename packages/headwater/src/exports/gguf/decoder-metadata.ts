/** Metadata that decoders share in GGUF, and checks of what llama.cpp computes in one way only. */

import type { GgufFacts } from './architecture.ts';
import { float32, numberOf, uint32, unsupported } from './facts.ts';
import type { GgufValue } from './format.ts';

type Entry = readonly [string, GgufValue];

export interface DecoderSizes {
  readonly feedForward: number;
  /** Where llama.cpp's attention is the model's for fewer positions only. */
  readonly contextLength?: number;
}

export function sizeMetadata({ shape }: GgufFacts, { feedForward, contextLength }: DecoderSizes): Entry[] {
  return [
    ['context_length', uint32(contextLength ?? shape.maxPositionEmbeddings)],
    ['embedding_length', uint32(shape.hiddenSize)],
    ['block_count', uint32(shape.numHiddenLayers)],
    ['feed_forward_length', uint32(feedForward)],
    ['vocab_size', uint32(shape.vocabSize)],
    ['attention.head_count', uint32(shape.numAttentionHeads)],
    ['attention.head_count_kv', uint32(shape.numKeyValueHeads)],
    ['attention.key_length', uint32(shape.headDim)],
    ['attention.value_length', uint32(shape.headDim)],
  ];
}

/** transformers' default where config.json is silent. */
const RMS_EPSILON = 1e-6;

export function rmsEpsilon(facts: GgufFacts, otherwise = RMS_EPSILON): Entry {
  return ['attention.layer_norm_rms_epsilon', float32(numberOf(facts, 'rms_norm_eps', otherwise))];
}

/** Sizes, RMS epsilon, plain attention and SiLU: the llama family. `longest`: positions up to which llama.cpp agrees. */
export function llamaFamilyMetadata(
  facts: GgufFacts,
  { epsilon = RMS_EPSILON, longest = Number.POSITIVE_INFINITY } = {},
): Entry[] {
  checkPlainAttention(facts);
  checkActivation(facts, 'hidden_act', ['silu', 'swish']);
  const feedForward = numberOf(facts, 'intermediate_size', 0);
  const contextLength = Math.min(longest, contextWithoutWindows(facts));
  return [...sizeMetadata(facts, { feedForward, contextLength }), rmsEpsilon(facts, epsilon)];
}

/**
 * llama.cpp has no sliding windows for most architectures: up to the smallest window nothing slides, so that is the context
 * that the file declares.
 */
export function contextWithoutWindows({ shape, attention }: GgufFacts): number {
  const windows = attention.map(({ window }) => window ?? Number.POSITIVE_INFINITY);
  return Math.min(shape.maxPositionEmbeddings, ...windows);
}

/** Scores are q·k / √Dh without caps. */
export function checkPlainAttention(facts: GgufFacts): void {
  const expected = 1 / Math.sqrt(facts.shape.headDim);
  const other = facts.attention.find(({ scale }) => Math.abs(scale / expected - 1) > 1e-6);
  if (other !== undefined)
    throw unsupported(
      facts,
      `attention scores are multiplied by ${other.scale}, llama.cpp multiplies by ${expected} for this architecture`,
    );
  if (facts.attention.some(({ softCap }) => softCap !== undefined))
    throw unsupported(
      facts,
      'attention scores are capped, which llama.cpp does not do for this architecture',
    );
}

/** `known`: names of the function that llama.cpp computes; the first is the default. */
export function checkActivation(facts: GgufFacts, key: string, known: readonly [string, ...string[]]): void {
  const name = String(facts.config[key] ?? known[0]);
  if (!known.includes(name))
    throw unsupported(facts, `${key} is "${name}", llama.cpp computes ${known[0]} for this architecture`);
}

/** llama.cpp loads no such biases. */
export function checkNoBias(facts: GgufFacts, ...keys: readonly string[]): void {
  const key = keys.find((name) => facts.config[name] === true);
  if (key !== undefined)
    throw unsupported(facts, `${key} is true, llama.cpp has no biases there for this architecture`);
}

/** Names of the tanh form of GELU, which llama.cpp computes also where the model means the exact one. */
export const TANH_GELU = ['gelu_new', 'gelu_fast', 'gelu_pytorch_tanh'] as const;
