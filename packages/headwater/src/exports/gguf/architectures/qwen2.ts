/** qwen2 in GGUF. */

import type { GgufArchitecture } from '../architecture.ts';
import { llamaFamilyMetadata } from '../decoder-metadata.ts';
import { ropeMetadata, rotaryOf } from '../rope.ts';
import { ATTENTION, EMBEDDINGS, GATED_MLP, PRE_NORMS } from '../tensor-rules.ts';

export const qwen2: GgufArchitecture = {
  id: 'qwen2',
  ggufId: 'qwen2',
  tensors: [...EMBEDDINGS, ...PRE_NORMS, ...ATTENTION, ...GATED_MLP],
  metadata: (facts) => [
    ...llamaFamilyMetadata(facts),
    ...ropeMetadata(facts, rotaryOf(facts), ['linear', 'yarn']),
  ],
};
