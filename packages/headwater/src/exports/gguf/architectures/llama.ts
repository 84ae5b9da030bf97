/** llama and mistral in GGUF: query and key rows interleaved, llama3's rotary scaling as a tensor. */

import type { GgufArchitecture } from '../architecture.ts';
import { llamaFamilyMetadata } from '../decoder-metadata.ts';
import { ropeMetadata, ropeTensors, rotaryOf } from '../rope.ts';
import { EMBEDDINGS, GATED_MLP, INTERLEAVED_ATTENTION, PRE_NORMS } from '../tensor-rules.ts';

export const llama: GgufArchitecture = {
  id: 'llama',
  ggufId: 'llama',
  tensors: [...EMBEDDINGS, ...PRE_NORMS, ...INTERLEAVED_ATTENTION, ...GATED_MLP],
  metadata: (facts) => [
    ...llamaFamilyMetadata(facts),
    ...ropeMetadata(facts, rotaryOf(facts), ['linear', 'yarn', 'llama3']),
  ],
  extraTensors: (facts) => ropeTensors(rotaryOf(facts)),
};

export const mistral: GgufArchitecture = { ...llama, id: 'mistral' };
