/** llama and mistral in GGUF: query and key rows interleaved, llama3's rotary scaling as a tensor. */

import type { ExtraTensor, GgufArchitecture, GgufFacts, TensorRule } from '../architecture.ts';
import { llamaFamilyMetadata } from '../decoder-metadata.ts';
import { interleavedRows, llama3Factors, ropeMetadata } from '../rope.ts';
import { EMBEDDINGS, GATED_MLP, PRE_NORMS } from '../tensor-rules.ts';

/** Attention modules of architectures that llama.cpp turns by neighbours. */
export const INTERLEAVED_ATTENTION: readonly TensorRule[] = [
  { from: 'model.layers.{}.self_attn.q_proj', to: 'blk.{}.attn_q', rows: interleavedRows },
  { from: 'model.layers.{}.self_attn.k_proj', to: 'blk.{}.attn_k', rows: interleavedRows },
  { from: 'model.layers.{}.self_attn.v_proj', to: 'blk.{}.attn_v' },
  { from: 'model.layers.{}.self_attn.o_proj', to: 'blk.{}.attn_output' },
];

const llamaTensors = [...EMBEDDINGS, ...PRE_NORMS, ...INTERLEAVED_ATTENTION, ...GATED_MLP];

function metadata(facts: GgufFacts): ReturnType<GgufArchitecture['metadata']> {
  const { headDim } = facts.shape;
  const rope = ropeMetadata(facts, { dimensions: headDim, scalings: ['linear', 'yarn', 'llama3'] });
  return [...llamaFamilyMetadata(facts), ...rope];
}

function extraTensors(facts: GgufFacts): readonly ExtraTensor[] {
  const values = llama3Factors(facts);
  return values === undefined ? [] : [{ name: 'rope_freqs.weight', values }];
}

export const llama: GgufArchitecture = {
  id: 'llama',
  ggufId: 'llama',
  tensors: llamaTensors,
  metadata,
  extraTensors,
};

export const mistral: GgufArchitecture = { ...llama, id: 'mistral' };
