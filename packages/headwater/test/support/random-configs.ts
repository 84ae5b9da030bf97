/**
 * Configurations drawn by seed, one drawer for every architecture: sizes, ratios, biases, windows, rotary scaling. Nothing
 * is tuned to the fixtures when tests of these pass.
 */

import { type Rng, rng } from '../../src/base/random.ts';

type Config = Record<string, unknown>;

const VOCABULARY = 11;
const POSITIONS = 24;

function pick<T>(random: Rng, ...items: readonly T[]): T {
  return items[random.below(items.length)] as T;
}

const maybe = (random: Rng): boolean => random.below(2) === 1;

const ACTIVATIONS = ['silu', 'gelu', 'gelu_new', 'relu'] as const;

/** Heads that share keys and values, and a width that has nothing to do with them. */
function sizes(random: Rng) {
  const num_attention_heads = pick(random, 1, 2, 3, 4);
  const divisors = [1, 2, 3, 4].filter((count) => num_attention_heads % count === 0);
  return {
    hidden_size: num_attention_heads * pick(random, 4, 5, 6),
    intermediate_size: pick(random, 5, 8, 11),
    num_hidden_layers: pick(random, 1, 2, 3),
    num_attention_heads,
    num_key_value_heads: pick(random, ...divisors),
    head_dim: pick(random, 2, 4, 6),
    vocab_size: VOCABULARY,
    max_position_embeddings: POSITIONS,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: maybe(random),
  };
}

/** Rotary settings for `pairs` rotated pairs, in one of the two spellings. */
function rope(random: Rng, pairs: number): Config {
  const divisors = (base: number) => Array.from({ length: pairs }, (_, i) => base + i / 2);
  const llama3 = { low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 16 };
  const kind = pick<Config>(
    random,
    {},
    { rope_type: 'linear', factor: 2.5 },
    { rope_type: 'dynamic', factor: 2 },
    { rope_type: 'llama3', factor: 4, ...llama3 },
    { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 8 },
    {
      ...{ rope_type: 'longrope', short_factor: divisors(1), long_factor: divisors(3) },
      original_max_position_embeddings: 6,
    },
  );
  const rope_theta = pick(random, 100, 10_000);
  return maybe(random)
    ? { rope_parameters: { ...kind, rope_theta } }
    : { rope_theta, ...('rope_type' in kind ? { rope_scaling: kind } : {}) };
}

function layerTypes(random: Rng, count: number): string[] {
  return Array.from({ length: count }, () => pick(random, 'full_attention', 'sliding_attention'));
}

const biases = (random: Rng) => ({ attention_bias: maybe(random), mlp_bias: maybe(random) });
const windows = { use_sliding_window: true, sliding_window: 3 };

function llamaLike(random: Rng) {
  const shared = sizes(random);
  return { ...shared, ...rope(random, shared.head_dim / 2), hidden_act: pick(random, ...ACTIVATIONS) };
}

function gemma(random: Rng) {
  const shared = sizes(random);
  return {
    ...shared,
    ...{ attention_bias: maybe(random), query_pre_attn_scalar: pick(random, 3, 24), sliding_window: 3 },
    layer_types: layerTypes(random, shared.num_hidden_layers),
    final_logit_softcapping: pick(random, null, 1.5),
  };
}

function gemma3Text(random: Rng): Config {
  return {
    ...gemma(random),
    rope_parameters: {
      full_attention: { rope_type: 'linear', factor: 3, rope_theta: 700 },
      sliding_attention: { rope_theta: 50 },
    },
  };
}

function encoder(random: Rng, extra: Config): Config {
  const { hidden_size, intermediate_size, num_hidden_layers, num_attention_heads } = sizes(random);
  return {
    ...{ hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, vocab_size: VOCABULARY },
    ...{ max_position_embeddings: POSITIONS, type_vocab_size: 2, hidden_act: pick(random, 'gelu', 'relu') },
    ...{ id2label: { 0: 'a', 1: 'b', 2: 'c' }, label2id: { a: 0, b: 1, c: 2 }, ...extra },
  };
}

const DRAWERS: Readonly<Record<string, (random: Rng) => Config>> = {
  llama: (random) => ({ ...llamaLike(random), ...biases(random) }),
  mistral: (random) => ({ ...llamaLike(random), sliding_window: pick(random, null, 3) }),
  qwen2: (random) => {
    const config = llamaLike(random);
    return { ...config, ...windows, layer_types: layerTypes(random, config.num_hidden_layers) };
  },
  qwen3: (random) => ({
    ...llamaLike(random),
    ...{ attention_bias: maybe(random), max_window_layers: 1, ...windows },
  }),
  smollm3: (random) => ({
    ...llamaLike(random),
    ...{ ...biases(random), no_rope_layer_interval: 2, use_sliding_window: maybe(random), sliding_window: 3 },
  }),
  olmo2: (random) => ({ ...llamaLike(random), attention_bias: maybe(random) }),
  gemma: (random) => ({ ...llamaLike(random), attention_bias: maybe(random) }),
  gemma2: (random) => {
    const config = gemma(random);
    const attn_logit_softcapping = pick(random, null, 0.7);
    return { ...config, attn_logit_softcapping, ...rope(random, config.head_dim / 2) };
  },
  gemma3_text: gemma3Text,
  gemma3: (random) => {
    const { final_logit_softcapping: _, tie_word_embeddings, ...text_config } = gemma3Text(random);
    return { text_config, tie_word_embeddings, vision_config: { hidden_size: 8 } };
  },
  phi3: (random) => {
    const { head_dim, ...config } = sizes(random);
    const share = head_dim === 4 ? 0.5 : 1;
    const long = rope(random, (head_dim * share) / 2);
    const partial = { rope_parameters: { rope_theta: 100, partial_rotary_factor: share } };
    return {
      ...{ ...config, head_dim, sliding_window: pick(random, null, 3), original_max_position_embeddings: 6 },
      ...(share === 1 ? long : partial),
    };
  },
  gpt2: (random) => {
    const { num_attention_heads: n_head, num_hidden_layers: n_layer } = sizes(random);
    return {
      ...{ n_head, n_layer, n_embd: n_head * pick(random, 4, 5), n_inner: pick(random, null, 7) },
      ...{ n_positions: POSITIONS, vocab_size: VOCABULARY, tie_word_embeddings: maybe(random) },
      ...{ activation_function: pick(random, ...ACTIVATIONS), scale_attn_weights: maybe(random) },
      scale_attn_by_inverse_layer_idx: maybe(random),
    };
  },
  gpt_neox: (random) => {
    const { num_key_value_heads: _, head_dim: __, rms_norm_eps: ___, ...config } = sizes(random);
    return {
      ...{ ...config, hidden_size: 8 * config.num_attention_heads, rotary_pct: pick(random, 0.25, 0.5, 1) },
      ...{ use_parallel_residual: maybe(random), attention_bias: maybe(random) },
      hidden_act: pick(random, ...ACTIVATIONS),
    };
  },
  bert: (random) => encoder(random, { architectures: ['BertForSequenceClassification'] }),
  roberta: (random) =>
    encoder(random, { architectures: ['RobertaForSequenceClassification'], pad_token_id: 1 }),
  distilbert: (random) => {
    const config = encoder(random, {}) as Record<string, number>;
    const { id2label, label2id, vocab_size, max_position_embeddings } = config;
    return {
      ...{ architectures: ['DistilBertForSequenceClassification'], id2label, label2id, vocab_size },
      ...{ dim: config.hidden_size, hidden_dim: config.intermediate_size, max_position_embeddings },
      ...{ n_layers: config.num_hidden_layers, n_heads: config.num_attention_heads },
    };
  },
};

/** A configuration of the architecture; the same for the same seed. */
export function randomConfig(architecture: string, seed: number): Config {
  const draw = DRAWERS[architecture];
  if (draw === undefined) throw new Error(`random-configs.ts draws no ${architecture}: add it to DRAWERS`);
  return { model_type: architecture, ...draw(rng('random-config', architecture, seed)) };
}
