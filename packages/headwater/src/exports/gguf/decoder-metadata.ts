/** Metadata that every decoder has in GGUF, and checks of what llama.cpp computes in one way only. */

import type { GgufFacts } from './architecture.ts';
import { float32, numberOf, uint32, unsupported } from './facts.ts';
import type { GgufValue } from './format.ts';

type Entry = readonly [string, GgufValue];

/** Sizes. `contextLength` where llama.cpp's attention agrees with the model's for fewer positions only. */
export function sizeMetadata(
  { shape }: GgufFacts,
  { feedForward, contextLength }: { readonly feedForward: number; readonly contextLength?: number },
): Entry[] {
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

/** Sizes, RMS epsilon and plain attention of the llama family. */
export function llamaFamilyMetadata(facts: GgufFacts): Entry[] {
  checkPlainAttention(facts);
  return [
    ...sizeMetadata(facts, {
      feedForward: numberOf(facts, 'intermediate_size', 0),
      contextLength: contextWithoutWindows(facts),
    }),
    ['attention.layer_norm_rms_epsilon', float32(numberOf(facts, 'rms_norm_eps', RMS_EPSILON))],
  ];
}

/**
 * llama.cpp has no sliding windows for these architectures: up to the smallest window nothing slides, so that is the
 * context that the file declares.
 */
export function contextWithoutWindows({ shape, attention }: GgufFacts): number {
  return Math.min(
    shape.maxPositionEmbeddings,
    ...attention.map(({ window }) => window ?? Number.POSITIVE_INFINITY),
  );
}

/** Scores are q·k / √Dh without caps. */
export function checkPlainAttention(facts: GgufFacts): void {
  checkScale(facts, facts.shape.headDim);
  if (facts.attention.some(({ softCap }) => softCap !== undefined))
    throw unsupported(
      facts,
      'attention scores are capped, which llama.cpp does not do for this architecture',
    );
}

/** Scores are divided by √`dim`. */
export function checkScale(facts: GgufFacts, dim: number): void {
  const expected = 1 / Math.sqrt(dim);
  const other = facts.attention.find(({ scale }) => Math.abs(scale / expected - 1) > 1e-6);
  if (other !== undefined)
    throw unsupported(
      facts,
      `attention scores are multiplied by ${other.scale}, llama.cpp multiplies by ${expected} for this architecture`,
    );
}
