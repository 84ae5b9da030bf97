/** A model layout for tests of tuning kinds: what a test does not care about is a small causal model. */

import type { ModelLayout } from '../../src/tuning/kind.ts';

export function testLayout(parts: Partial<ModelLayout>): ModelLayout {
  return {
    linears: [],
    parameters: new Map(),
    startAtZero: new Set(),
    shape: {
      hiddenSize: 8,
      numHiddenLayers: 2,
      numAttentionHeads: 2,
      numKeyValueHeads: 1,
      headDim: 4,
      vocabSize: 16,
      maxPositionEmbeddings: 128,
    },
    objective: 'causal-lm',
    tokenEmbedding: 'model.embed_tokens',
    embeddingScale: 1,
    headModules: [],
    ...parts,
  };
}
