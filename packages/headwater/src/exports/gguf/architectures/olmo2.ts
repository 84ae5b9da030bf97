/** olmo2 in GGUF: norms after attention and MLP, and over whole queries and keys. */

import type { GgufArchitecture } from '../architecture.ts';
import { checkNoBias, llamaFamilyMetadata } from '../decoder-metadata.ts';
import { unsupported } from '../facts.ts';
import { ropeMetadata, rotaryOf } from '../rope.ts';
import { ATTENTION, EMBEDDINGS, GATED_MLP, QUERY_KEY_NORMS } from '../tensor-rules.ts';

export const olmo2: GgufArchitecture = {
  id: 'olmo2',
  ggufId: 'olmo2',
  tensors: [
    ...EMBEDDINGS,
    ...ATTENTION,
    ...QUERY_KEY_NORMS,
    { from: 'model.layers.{}.post_attention_layernorm', to: 'blk.{}.post_attention_norm' },
    ...GATED_MLP,
    { from: 'model.layers.{}.post_feedforward_layernorm', to: 'blk.{}.post_ffw_norm' },
  ],
  metadata(facts) {
    checkNoBias(facts, 'attention_bias');
    if (facts.config.tie_word_embeddings === true)
      throw unsupported(facts, 'tie_word_embeddings is true, llama.cpp wants an output matrix of its own');
    return [
      ...llamaFamilyMetadata(facts, { epsilon: 1e-5 }),
      ...ropeMetadata(facts, rotaryOf(facts), ['linear', 'yarn']),
    ];
  },
};
