/** gemma2 in GGUF: norms hold 1 + w, every other layer slides, scores and logits are capped. */

import type { GgufArchitecture, GgufFacts } from '../architecture.ts';
import { checkActivation, checkNoBias, rmsEpsilon, sizeMetadata, TANH_GELU } from '../decoder-metadata.ts';
import { float32, numberOf, unsupported } from '../facts.ts';
import { gemmaScale, gemmaTensors, slidingMetadata } from '../gemma.ts';
import { ropeMetadata, rotaryOf } from '../rope.ts';

/** llama.cpp knows the 27B model by its layers and scales its scores by hidden_size / heads. */
const LAYERS_OF_27B = 46;
const DEFAULT_FINAL_CAP = 30;
const DEFAULT_FEED_FORWARD = 9216;

export const gemma2: GgufArchitecture = {
  id: 'gemma2',
  ggufId: 'gemma2',
  tensors: gemmaTensors('model').map((rule) =>
    rule.to === 'blk.{}.attn_q' ? { ...rule, times: (facts) => gemmaScale(facts, LAYERS_OF_27B) } : rule,
  ),
  metadata(facts) {
    checkNoBias(facts, 'attention_bias');
    checkActivation(facts, 'hidden_activation', [...TANH_GELU]);
    const feedForward = numberOf(facts, 'intermediate_size', DEFAULT_FEED_FORWARD);
    return [
      ...sizeMetadata(facts, { feedForward }),
      rmsEpsilon(facts),
      ...capMetadata(facts),
      ...slidingMetadata(facts),
      ...ropeMetadata(facts, rotaryOf(facts), ['linear']),
    ];
  },
};

/** llama.cpp always caps both, by its own numbers where the file is silent. */
function capMetadata(facts: GgufFacts): ReturnType<typeof slidingMetadata> {
  const scoreCap = facts.attention[0]?.softCap;
  if (scoreCap === undefined || facts.config.final_logit_softcapping === null)
    throw unsupported(facts, 'scores or logits are not capped, llama.cpp always caps them');
  const finalCap = numberOf(facts, 'final_logit_softcapping', DEFAULT_FINAL_CAP);
  return [
    ['attn_logit_softcapping', float32(scoreCap)],
    ['final_logit_softcapping', float32(finalCap)],
  ];
}
