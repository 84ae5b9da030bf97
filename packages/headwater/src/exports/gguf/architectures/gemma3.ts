/** gemma3 in GGUF, as a text model and as the text side of the models that also see images. */

import type { GgufArchitecture, GgufFacts } from '../architecture.ts';
import { checkActivation, checkNoBias, rmsEpsilon, sizeMetadata, TANH_GELU } from '../decoder-metadata.ts';
import { float32, numberOf, unsupported } from '../facts.ts';
import { gemmaScale, gemmaTensors, slidingMetadata } from '../gemma.ts';
import { ropeMetadata, rotaryOf } from '../rope.ts';

/** llama.cpp knows the 27B model by its layers and scales its scores by hidden_size / heads. */
const LAYERS_OF_27B = 62;
const DEFAULT_FEED_FORWARD = 9216;
const DEFAULT_THETA = { full: 1_000_000, sliding: 10_000 };

/** Queries are normalised by head, so the scale of scores goes into the weights of that norm. */
const tensors = (root: string) =>
  gemmaTensors(root).map((rule) =>
    rule.to === 'blk.{}.attn_q_norm'
      ? { ...rule, times: (facts: GgufFacts) => gemmaScale(facts, LAYERS_OF_27B) }
      : rule,
  );

export const gemma3Text: GgufArchitecture = {
  id: 'gemma3_text',
  ggufId: 'gemma3',
  tensors: tensors('model'),
  metadata,
};

export const gemma3: GgufArchitecture = {
  id: 'gemma3',
  ggufId: 'gemma3',
  tensors: tensors('model.language_model'),
  metadata: (facts) =>
    metadata({ ...facts, config: (facts.config.text_config ?? {}) as GgufFacts['config'] }),
};

function metadata(facts: GgufFacts): ReturnType<GgufArchitecture['metadata']> {
  checkNoBias(facts, 'attention_bias');
  checkActivation(facts, 'hidden_activation', ['gelu_pytorch_tanh', ...TANH_GELU]);
  if ((facts.config.final_logit_softcapping ?? null) !== null)
    throw unsupported(facts, 'final_logit_softcapping is set, llama.cpp does not cap logits for gemma3');
  const feedForward = numberOf(facts, 'intermediate_size', DEFAULT_FEED_FORWARD);
  const { full, sliding } = rotaries(facts);
  if (sliding.scaling !== undefined)
    throw unsupported(facts, 'sliding layers have a rotary scaling, which llama.cpp does not compute');
  return [
    ...sizeMetadata(facts, { feedForward }),
    rmsEpsilon(facts),
    ...slidingMetadata(facts),
    ...ropeMetadata(facts, full, ['linear']),
    ['rope.freq_base_swa', float32(sliding.ropeTheta)],
  ];
}

function rotaries(facts: GgufFacts) {
  const { config } = facts;
  const given = (config.rope_parameters ?? {}) as Record<string, object | null | undefined>;
  const of = (own: object | null | undefined, scaling: unknown, ropeTheta: number) =>
    rotaryOf(
      {
        ...facts,
        config: { ...config, rope_scaling: undefined, rope_parameters: { ...own, ...(scaling ?? {}) } },
      },
      { ropeTheta },
    );
  return {
    full: of(given.full_attention, config.rope_scaling, numberOf(facts, 'rope_theta', DEFAULT_THETA.full)),
    sliding: of(
      given.sliding_attention,
      undefined,
      numberOf(facts, 'rope_local_base_freq', DEFAULT_THETA.sliding),
    ),
  };
}
