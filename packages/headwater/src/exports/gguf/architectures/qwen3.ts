/** qwen3 in GGUF: qwen2's tensors with norms on query and key heads. */

import type { GgufArchitecture } from '../architecture.ts';
import { checkNoBias, llamaFamilyMetadata } from '../decoder-metadata.ts';
import { ropeMetadata, rotaryOf } from '../rope.ts';
import { ATTENTION, EMBEDDINGS, GATED_MLP, PRE_NORMS, QUERY_KEY_NORMS } from '../tensor-rules.ts';

export const qwen3: GgufArchitecture = {
  id: 'qwen3',
  ggufId: 'qwen3',
  tensors: [...EMBEDDINGS, ...PRE_NORMS, ...ATTENTION, ...QUERY_KEY_NORMS, ...GATED_MLP],
  metadata(facts) {
    checkNoBias(facts, 'attention_bias');
    return [...llamaFamilyMetadata(facts), ...ropeMetadata(facts, rotaryOf(facts), ['linear', 'yarn'])];
  },
};
