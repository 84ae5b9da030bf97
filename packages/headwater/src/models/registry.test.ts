import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { HeadwaterError } from '../base/errors.ts';
import { ARCHITECTURES, definitionOf } from './registry.ts';

type Config = Record<string, unknown>;

function configOf(name: string): Config {
  const path = `../../test/fixtures/huggingface/${name}/config.json`;
  return JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
}

function refusal(name: string, changes: Config): HeadwaterError {
  try {
    definitionOf({ ...configOf(name), ...changes }, 'config.json');
  } catch (error) {
    if (error instanceof HeadwaterError) return error;
    throw error;
  }
  throw new Error(`${JSON.stringify(changes)} was accepted`);
}

describe('definitionOf', () => {
  it('lists the parameters of the checkpoint and the linear modules in network order', () => {
    const { parameters, linears } = definitionOf(configOf('llama'), '');
    expect(parameters.get('model.embed_tokens.weight')).toEqual([160, 32]);
    expect(parameters.get('model.layers.1.self_attn.k_proj.weight')).toEqual([16, 32]);
    expect(parameters.get('model.layers.1.mlp.down_proj.weight')).toEqual([32, 48]);
    expect(parameters.get('lm_head.weight')).toEqual([160, 32]);
    expect(parameters.size).toBe(2 * 9 + 3);
    expect(linears.slice(0, 7).map(({ module }) => module.replace('model.layers.0.', ''))).toEqual([
      'self_attn.q_proj',
      'self_attn.k_proj',
      'self_attn.v_proj',
      'self_attn.o_proj',
      'mlp.gate_proj',
      'mlp.up_proj',
      'mlp.down_proj',
    ]);
    expect(linears).toHaveLength(14);
    expect(linears[1]).toMatchObject({ inFeatures: 32, outFeatures: 16, bias: false });
  });

  it('has one vocabulary matrix when tied, biases and head norms where the architecture has them', () => {
    expect(definitionOf(configOf('llama-tied-mha'), '').parameters.has('lm_head.weight')).toBe(false);
    const qwen2 = definitionOf(configOf('qwen2'), '').parameters;
    expect(qwen2.get('model.layers.0.self_attn.q_proj.bias')).toEqual([32]);
    expect(qwen2.has('model.layers.0.self_attn.o_proj.bias')).toBe(false);
    const qwen3 = definitionOf(configOf('qwen3'), '').parameters;
    expect(qwen3.get('model.layers.0.self_attn.k_norm.weight')).toEqual([16]);
    const biased = definitionOf(
      { ...configOf('llama'), attention_bias: true, mlp_bias: true },
      '',
    ).parameters;
    expect(biased.get('model.layers.0.self_attn.o_proj.bias')).toEqual([32]);
    expect(biased.get('model.layers.0.mlp.gate_proj.bias')).toEqual([48]);
  });

  it('knows the modules of fused and of nested networks by their names', () => {
    const gpt2 = definitionOf(configOf('gpt2'), '');
    expect(gpt2.linears[0]).toMatchObject({ module: 'transformer.h.0.attn.c_attn', stored: 'in-out' });
    expect(gpt2.parameters.get('transformer.h.0.attn.c_attn.weight')).toEqual([32, 96]);
    expect(gpt2.otherNames('transformer.h.0.ln_1.bias')).toContain('h.0.ln_1.bias');
    const neox = definitionOf(configOf('gpt-neox'), '');
    expect(neox.otherNames('embed_out.weight')).toContain('lm_head.weight');
    const { architectures: _, model_type: __, ...text_config } = configOf('gemma3');
    const whole = definitionOf({ model_type: 'gemma3', text_config }, '');
    expect(whole.linears[0]?.module).toBe('model.language_model.layers.0.self_attn.q_proj');
    expect(whole.otherNames('model.language_model.norm.weight')).toContain(
      'language_model.model.norm.weight',
    );
    expect(whole).toMatchObject({ tokenEmbedding: 'model.language_model.embed_tokens' });
    expect(whole.embeddingScale).toBeCloseTo(Math.sqrt(32), 12);
  });

  it('reaches as far as linear scaling and yarn do, and says where LongRoPE changes', () => {
    const shapeWith = (rope_scaling: Config) =>
      definitionOf({ ...configOf('llama'), rope_parameters: null, rope_scaling }, '').shape;
    expect(shapeWith({ type: 'linear', factor: 4 }).maxPositionEmbeddings).toBe(512);
    expect(shapeWith({ rope_type: 'dynamic', factor: 4 }).maxPositionEmbeddings).toBe(128);
    const yarn = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 100 };
    expect(shapeWith(yarn).maxPositionEmbeddings).toBe(400);
    const factors = { short_factor: [1, 1, 1, 1], long_factor: [2, 2, 2, 2] };
    const long = { rope_type: 'longrope', ...factors, original_max_position_embeddings: 32 };
    expect(shapeWith(long)).toMatchObject({ maxPositionEmbeddings: 128, longContextAbove: 32 });
  });

  it('takes a config as the hub has it: transformers 4 spelling, nulls, bookkeeping', () => {
    const smol: Config = {
      ...configOf('llama'),
      rope_parameters: null,
      rope_theta: 100000,
      rope_scaling: null,
      rope_interleaved: false,
      is_llama_config: true,
      torch_dtype: 'bfloat16',
      'transformers.js_config': { dtype: 'q4' },
      head_dim: null,
      num_key_value_heads: null,
    };
    expect(definitionOf(smol, '').shape).toMatchObject({ headDim: 8, numKeyValueHeads: 4 });
    const qwen25: Config = { ...configOf('qwen2'), use_mrope: false, sliding_window: 32768, rope_theta: 1e6 };
    expect(definitionOf(qwen25, '').architecture).toBe('qwen2');
  });

  it.each([
    [
      'gemma3_text',
      {
        ...{ architectures: ['Gemma3ForCausalLM'], cache_implementation: 'hybrid', head_dim: 256 },
        ...{ hidden_size: 1152, intermediate_size: 6912, num_attention_heads: 4, num_hidden_layers: 26 },
        ...{
          num_key_value_heads: 1,
          query_pre_attn_scalar: 256,
          rope_local_base_freq: 10000,
          vocab_size: 262144,
        },
        ...{ rope_scaling: null, rope_theta: 1000000, sliding_window: 512, sliding_window_pattern: 6 },
        ...{ attn_logit_softcapping: null, final_logit_softcapping: null, max_position_embeddings: 32768 },
      },
      { numKeyValueHeads: 1, headDim: 256, maxPositionEmbeddings: 32768 },
    ],
    [
      'gemma3',
      {
        ...{
          architectures: ['Gemma3ForConditionalGeneration'],
          boi_token_index: 255999,
          eoi_token_index: 256000,
        },
        ...{ image_token_index: 262144, mm_tokens_per_image: 256, eos_token_id: [1, 106] },
        text_config: {
          ...{
            hidden_size: 2560,
            intermediate_size: 10240,
            model_type: 'gemma3_text',
            num_hidden_layers: 34,
          },
          ...{ rope_scaling: { factor: 8, rope_type: 'linear' }, sliding_window: 1024 },
        },
        vision_config: { hidden_size: 1152, image_size: 896 },
      },
      { numAttentionHeads: 8, numKeyValueHeads: 4, headDim: 256, vocabSize: 262208 },
    ],
    [
      'phi3',
      {
        ...{ architectures: ['Phi3ForCausalLM'], attention_bias: false, sliding_window: 262144 },
        auto_map: {
          AutoConfig: 'configuration_phi3.Phi3Config',
          AutoModelForCausalLM: 'microsoft/Phi-4-mini-instruct--modeling_phi3.Phi3ForCausalLM',
          AutoTokenizer: 'Xenova/gpt-4o',
        },
        ...{ embd_pdrop: 0, resid_pdrop: 0, full_attn_mod: 1, interpolate_factor: 1, lm_head_bias: false },
        ...{ hidden_size: 3072, intermediate_size: 8192, num_attention_heads: 24, num_hidden_layers: 32 },
        ...{
          num_key_value_heads: 8,
          max_position_embeddings: 131072,
          original_max_position_embeddings: 4096,
        },
        ...{ partial_rotary_factor: 0.75, rope_theta: 10000, tie_word_embeddings: true, vocab_size: 200064 },
        rope_scaling: {
          long_factor: new Array(48).fill(1.5),
          short_factor: new Array(48).fill(1),
          type: 'longrope',
        },
      },
      { headDim: 128, longContextAbove: 4096 },
    ],
    [
      'gpt2',
      {
        ...{
          activation_function: 'gelu_new',
          architectures: ['GPT2LMHeadModel'],
          attn_pdrop: 0.1,
          n_ctx: 1024,
        },
        ...{ embd_pdrop: 0.1, resid_pdrop: 0.1, n_embd: 768, n_head: 12, n_layer: 12, n_positions: 1024 },
        ...{ summary_type: 'cls_index', summary_use_proj: true, summary_activation: null, vocab_size: 50257 },
        task_specific_params: { 'text-generation': { do_sample: true, max_length: 50 } },
      },
      { headDim: 64, maxPositionEmbeddings: 1024 },
    ],
    [
      'gpt_neox',
      {
        ...{ architectures: ['GPTNeoXForCausalLM'], hidden_act: 'gelu', hidden_size: 512, vocab_size: 50304 },
        ...{
          intermediate_size: 2048,
          layer_norm_eps: 1e-5,
          max_position_embeddings: 2048,
          num_hidden_layers: 6,
        },
        ...{ num_attention_heads: 8, rotary_emb_base: 10000, rotary_pct: 0.25, use_parallel_residual: true },
        ...{ torch_dtype: 'float16', tie_word_embeddings: false, use_cache: true },
      },
      { headDim: 64, numKeyValueHeads: 8 },
    ],
  ])('takes a published configuration of %s', (model_type, config, shape) => {
    expect(definitionOf({ model_type, ...config }, '').shape).toMatchObject(shape);
  });

  it('refuses an unknown architecture and names the supported ones', () => {
    const error = refusal('llama', { model_type: 'gemma4' });
    expect(error.code).toBe('MODEL_UNSUPPORTED');
    for (const id of ARCHITECTURES.keys()) expect(error.message).toContain(id);
    expect(refusal('llama', { model_type: undefined }).message).toContain('missing');
    expect(refusal('llama', { model_type: 'toString' }).code).toBe('MODEL_UNSUPPORTED');
  });

  it.each([
    ['llama', { hidden_act: 'relu6' }, ['hidden_act', '"relu6"', 'silu']],
    ['llama', { attention_dropout: 0.1 }, ['attention_dropout', '0.1', '0']],
    ['llama', { rope_parameters: { rope_type: 'axial' } }, ['rope_type', '"axial"', 'llama3']],
    [
      'llama',
      { rope_parameters: null, rope_scaling: { type: 'linear', factor: 2, beta_fast: 32 } },
      ['rope_scaling.beta_fast', '"linear"'],
    ],
    ['llama', { rope_parameters: { rope_type: 'default', factor: 4 } }, ['rope_parameters.factor']],
    [
      'llama',
      { rope_parameters: { rope_theta: 1e4, partial_rotary_factor: 0.5 } },
      ['partial_rotary_factor', '0.5'],
    ],
    ['llama', { rope_interleaved: true }, ['rope_interleaved', 'true', 'false']],
    ['llama', { quantization_config: { bits: 4 } }, ['quantization_config', '"bits":4']],
    [
      'gemma2',
      { quantization_config: { quant_method: 'bitsandbytes', load_in_4bit: true } },
      ['bitsandbytes'],
    ],
    ['phi3', { quantization_config: { quant_method: 'awq' } }, ['with awq']],
    ['llama', { auto_map: { AutoModel: 'x.py' } }, ['auto_map']],
    [
      'llama',
      { architectures: ['LlamaForSequenceClassification'] },
      ['LlamaForSequenceClassification', 'LlamaForCausalLM'],
    ],
    ['llama', { sliding_window: 8 }, ['sliding_window (8)']],
    ['mistral', { attention_bias: true }, ['attention_bias']],
    [
      'qwen2',
      { layer_types: ['full_attention', 'chunked_attention'] },
      ['layer_types.1', 'chunked_attention'],
    ],
    ['qwen2', { use_mrope: true }, ['use_mrope']],
    ['qwen3', { qk_layernorm: false }, ['qk_layernorm']],
    ['gemma2', { use_bidirectional_attention: true }, ['use_bidirectional_attention']],
    ['gemma2', { hidden_act: 'gelu' }, ['hidden_act', 'hidden_activation']],
    ['gemma3', { attn_logit_softcapping: 50 }, ['attn_logit_softcapping (50)']],
    ['gemma3', { rope_parameters: { rope_theta: 10000 } }, ['rope_parameters.rope_theta']],
    ['phi3', { rope_parameters: { rope_type: 'axial' } }, ['rope_parameters.rope_type', 'axial']],
    ['phi3', { lm_head_bias: true }, ['lm_head_bias']],
    ['phi3', { auto_map: { AutoModelForCausalLM: 'modeling_phi3_v.Phi3VForCausalLM' } }, ['auto_map']],
    ['gpt2', { add_cross_attention: true }, ['add_cross_attention']],
    ['gpt-neox', { head_dim: 16 }, ['head_dim (16)']],
    ['gpt-neox', { rope_parameters: null, rotary_pct: 0.5, partial_rotary_factor: 1 }, ['rotary_pct']],
    ['olmo2', { layer_types: ['full_attention', 'full_attention'] }, ['layer_types']],
    ['smollm3', { no_rope_layers: [1, 2, 1, 0] }, ['no_rope_layers.1']],
  ] as const)('%s refuses %o as unsupported', (name, changes, mentions) => {
    const error = refusal(name, changes);
    expect(error.code).toBe('MODEL_UNSUPPORTED');
    for (const mention of mentions) expect(error.message).toContain(mention);
  });

  it.each([
    ['llama', { hidden_size: undefined }, ['hidden_size is missing']],
    ['llama', { vocab_size: '160' }, ['vocab_size', '"160"']],
    ['llama', { num_hidden_layers: 0 }, ['num_hidden_layers is 0']],
    ['llama', { num_hidden_layers: 1e9 }, ['num_hidden_layers']],
    ['llama', { hidden_size: 33, head_dim: null }, ['33', '4 heads']],
    ['llama', { head_dim: 7 }, ['head_dim 7']],
    ['llama', { num_key_value_heads: 3 }, ['3 key-value heads']],
    ['llama', { rope_parameters: { rope_type: 'llama3', factor: 8 } }, ['low_freq_factor']],
    ['mistral', { num_key_value_heads: undefined }, ['num_key_value_heads is missing']],
    ['qwen2', { use_sliding_window: true }, ['sliding_window is missing']],
    ['qwen2', { layer_types: ['full_attention'] }, ['1 entries for 2 layers']],
    ['qwen2', { layer_types: ['full_attention', 'sliding_attention'] }, ['sliding_attention']],
    ['qwen3', { head_dim: null }, ['head_dim is missing']],
    ['smollm3', { no_rope_layers: [1, 1] }, ['no_rope_layers has 2 entries for 4 layers']],
    ['gemma2', { sliding_window: null }, ['no sliding_window is in use']],
    ['gpt2', { n_head: 5 }, ['n_embd 32', '5 heads']],
    ['gpt-neox', { rope_parameters: null, rotary_pct: 0.4 }, ['3 rotated dimensions']],
    ['phi3', { rope_parameters: { rope_type: 'longrope', short_factor: [1] } }, ['long_factor']],
    [
      'phi3',
      { rope_parameters: { rope_type: 'longrope', short_factor: [1], long_factor: [1] } },
      ['short_factor has 1 entries for 4 rotated pairs'],
    ],
    ['llama', { rope_parameters: { rope_type: 'yarn' } }, ['rope_parameters.factor']],
  ] as const)('%s refuses %o as invalid', (name, changes, mentions) => {
    const error = refusal(name, changes);
    expect(error.code).toBe('MODEL_INVALID');
    for (const mention of mentions) expect(error.message).toContain(mention);
  });

  it('names every offending key at once', () => {
    const { message } = refusal('llama', { hidden_act: 'sine', mlp_bias: 'no', frobnicate: 1 });
    for (const key of ['hidden_act', 'mlp_bias', 'frobnicate']) expect(message).toContain(key);
  });

  it('refuses what is no object', () => {
    for (const config of [null, [], 'x', 3]) expect(() => definitionOf(config, '')).toThrow(HeadwaterError);
  });
});
