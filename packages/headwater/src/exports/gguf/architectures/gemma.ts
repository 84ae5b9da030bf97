/** gemma in GGUF: llama's tensors under their own names, norms hold 1 + w. */

import type { GgufArchitecture, TensorRule } from '../architecture.ts';
import {
  checkActivation,
  checkNoBias,
  checkPlainAttention,
  rmsEpsilon,
  sizeMetadata,
  TANH_GELU,
} from '../decoder-metadata.ts';
import { numberOf } from '../facts.ts';
import { ropeMetadata, rotaryOf } from '../rope.ts';
import { ATTENTION, EMBEDDINGS, GATED_MLP, PRE_NORMS } from '../tensor-rules.ts';

const isNorm = ({ to }: TensorRule) => to.endsWith('_norm');

export const gemma: GgufArchitecture = {
  id: 'gemma',
  ggufId: 'gemma',
  tensors: [...EMBEDDINGS, ...PRE_NORMS, ...ATTENTION, ...GATED_MLP]
    .filter(({ to }) => to !== 'output')
    .map((rule) => (isNorm(rule) ? { ...rule, plus: 1 } : rule)),
  metadata(facts) {
    checkPlainAttention(facts);
    checkNoBias(facts, 'attention_bias');
    // Early files say gelu and mean its exact form; llama.cpp computes its tanh form for all of them.
    checkActivation(facts, 'hidden_act', [...TANH_GELU, 'gelu']);
    return [
      ...sizeMetadata(facts, { feedForward: numberOf(facts, 'intermediate_size', 0) }),
      rmsEpsilon(facts),
      ...ropeMetadata(facts, rotaryOf(facts), ['linear', 'yarn']),
    ];
  },
};
