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
