import { describe, expect, it } from 'vitest';
import { testLayout } from '../../test/support/layout.ts';
import { HeadwaterError } from '../base/errors.ts';
import { float32ToBfloat16, float32ToFloat16 } from '../base/half.ts';
import { rng } from '../base/random.ts';
import { type Tensor, tensor } from '../base/tensor.ts';
import { lora } from './lora.ts';
import { adapterConfigText, parseAdapter } from './peft-adapter.ts';
import { tuningKinds } from './registry.ts';

const layout = testLayout({
  parameters: new Map([['model.embed_tokens.weight', [16, 8]]]),
  linears: ['q_proj', 'k_proj'].map((name) => ({
    module: `model.layers.0.${name}`,
    inFeatures: 4,
    outFeatures: 6,
    bias: false,
    role: 'query',
  })),
});
const tuning = lora.bind(lora.options.parse({ rank: 2, alpha: 4, targetModules: ['q_proj'] }), layout);
const params = await tuning.init(rng(0), async () => new Float32Array());
const config = JSON.parse(adapterConfigText(tuning, 'owner/base')) as Record<string, unknown>;
const nameA = 'base_model.model.model.layers.0.q_proj.lora_A.weight';

function refusal(
  changed: Record<string, unknown>,
  tensors: ReadonlyMap<string, Tensor> = params,
): HeadwaterError {
  try {
    parseAdapter({ ...config, ...changed }, tensors, layout, tuningKinds);
  } catch (error) {
    if (error instanceof HeadwaterError) return error;
    throw error;
  }
  throw new Error('the adapter was accepted');
}

describe('adapter_config.json', () => {
  it('comes back as the options it was written from', () => {
    const read = parseAdapter(config, params, layout, tuningKinds);
    expect(read.baseModel).toBe('owner/base');
    expect(read.tuning.options).toEqual(tuning.options);
    expect(read.params).toEqual(params);
  });

  it.each([
    ['lora_bias', true],
    ['target_parameters', ['experts.w']],
    ['trainable_token_indices', [1]],
    ['layer_replication', [[0, 1]]],
    ['use_qalora', true],
    ['init_lora_weights', 'pissa'],
    ['task_type', 'SEQ_CLS'],
    ['some_setting_of_tomorrow', { factor: 2 }],
  ])('is refused with %s = %j', (key, value) => {
    const error = refusal({ [key]: value });
    expect(error.code).toBe('ADAPTER_INVALID');
    expect(error.message).toContain(key);
  });

  it.each([
    ['use_dora', false],
    ['fan_in_fan_out', true],
    ['modules_to_save', ['score']],
    ['modules_to_save', []],
    ['init_lora_weights', 'gaussian'],
    ['inference_mode', false],
    ['peft_version', '0.4.0'],
    ['loftq_config', {}],
    ['a_new_switch_that_is_off', false],
  ])('is read with %s = %j', (key, value) => {
    expect(() => parseAdapter({ ...config, [key]: value }, params, layout, tuningKinds)).not.toThrow();
  });

  it('is refused for another PEFT type, without targets and with a wrong rank', () => {
    expect(refusal({ peft_type: 'LOHA' }).message).toContain('"LOHA"');
    expect(refusal({ bias: 'some' }).message).toContain('bias');
    // Read, but then the tensors are others.
    expect(refusal({ use_dora: true }).message).toContain('missing');
    expect(refusal({ target_modules: ['q_proj', 'embed_tokens'] }).message).toContain('model.embed_tokens');
    expect(refusal({ target_modules: null }).message).toContain('target_modules');
    expect(refusal({ r: -1 }).message).toContain('rank');
    expect(refusal({ target_modules: ['w_pack'] }).code).toBe('ADAPTER_INVALID');
  });

  it('may list targets that this model does not have, as PEFT allows', () => {
    const read = parseAdapter(
      { ...config, target_modules: ['q_proj', 'query_key_value'] },
      params,
      layout,
      tuningKinds,
    );
    expect(read.params).toEqual(params);
    expect(read.tuning.options).toEqual(tuning.options);
  });
});

describe('adapter tensors', () => {
  const replaced = (name: string, value: Tensor | undefined) => {
    const tensors = new Map<string, Tensor>(params);
    if (value === undefined) tensors.delete(name);
    else tensors.set(name, value);
    return tensors;
  };

  it('are refused when missing, extra, misshapen, not real numbers or not finite', () => {
    expect(refusal({}, replaced(nameA, undefined)).message).toContain('missing');
    expect(
      refusal({}, replaced('x.lora_A.weight', tensor('float32', [1], new Float32Array(1)))).message,
    ).toContain('no place');
    const wrong = refusal({}, replaced(nameA, tensor('float32', [2, 5], new Float32Array(10))));
    expect(wrong.message).toContain('[2,5]');
    expect(wrong.message).toContain('[2,4]');
    expect(wrong.hint).toContain('owner/base');
    expect(refusal({}, replaced(nameA, tensor('int32', [2, 4], new Int32Array(8)))).message).toContain(
      'int32',
    );
    const poisoned = tensor('float32', [2, 4], new Float32Array(8).fill(Number.NaN, 3));
    expect(refusal({}, replaced(nameA, poisoned)).message).toContain('element 3');
  });

  it('are widened from float16 and bfloat16', () => {
    const values = Float32Array.of(0.5, -1.25, 2, 0, 1, -0.125, 3, 4);
    const half = tensor('float16', [2, 4], float32ToFloat16(values));
    const brain = tensor('bfloat16', [2, 4], float32ToBfloat16(values));
    for (const stored of [half, brain])
      expect(
        parseAdapter(config, replaced(nameA, stored), layout, tuningKinds).params.get(nameA)!.data,
      ).toEqual(values);
  });
});
