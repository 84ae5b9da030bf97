/** qwen3 in GGUF: qwen2's tensors with norms on query and key heads. */

import type { GgufArchitecture } from '../architecture.ts';
import { llamaFamilyMetadata } from '../decoder-metadata.ts';
import { unsupported } from '../facts.ts';
import { ropeMetadata } from '../rope.ts';
import { ATTENTION, EMBEDDINGS, GATED_MLP, PRE_NORMS, QUERY_KEY_NORMS } from '../tensor-rules.ts';

export const qwen3: GgufArchitecture = {
  id: 'qwen3',
  ggufId: 'qwen3',
  tensors: [...EMBEDDINGS, ...PRE_NORMS, ...ATTENTION, ...QUERY_KEY_NORMS, ...GATED_MLP],
  metadata(facts) {
    if (facts.config.attention_bias === true)
      throw unsupported(facts, 'attention_bias is true; llama.cpp has no biases for this architecture');
    return [
      ...llamaFamilyMetadata(facts),
      ...ropeMetadata(facts, { dimensions: facts.shape.headDim, scalings: ['linear', 'yarn'] }),
    ];
  },
};
