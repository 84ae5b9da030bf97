import { describe, expect, it } from 'vitest';
import { testLayout } from '../../test/support/layout.ts';
import { refusal } from '../../test/support/outcome.ts';
import { startingParams, toy } from '../../test/support/toy-network.ts';
import { tensor } from '../base/tensor.ts';
import { bitfit } from './bitfit.ts';
import { head } from './head.ts';
import { lora } from './lora.ts';
import { adapterConfigText, parseAdapter } from './peft-adapter.ts';
import { tuningKinds } from './registry.ts';
import { savedModules } from './saved-modules.ts';

/** Roberta's shape: a head of two linear modules below one name. */
const classifier = testLayout({
  objective: 'sequence-classification',
  headModules: ['classifier'],
  linears: [
    { module: 'enc.layer.0.query', inFeatures: 4, outFeatures: 4, bias: true, role: 'query' },
    { module: 'enc.layer.0.output.dense', inFeatures: 6, outFeatures: 4, bias: true, role: 'mlp-output' },
    { module: 'classifier.dense', inFeatures: 4, outFeatures: 4, bias: true, role: 'head' },
  ],
  parameters: new Map([
    ['emb.word.weight', [16, 4]],
    ['enc.layer.0.query.weight', [4, 4]],
    ['enc.layer.0.query.bias', [4]],
    ['enc.layer.0.output.dense.weight', [4, 6]],
    ['enc.layer.0.output.dense.bias', [4]],
    ['pre_classifier.weight', [4, 4]],
    ['classifier.dense.weight', [4, 4]],
    ['classifier.dense.bias', [4]],
    ['classifier.out_proj.weight', [3, 4]],
  ]),
  tokenEmbedding: 'emb.word',
});
const bind = (options: object, layout = toy) =>
  lora.bind(lora.options.parse({ rank: 1, ...options }), layout);
const names = (options: object, layout = toy) => bind(options, layout).tensors.map(({ name }) => name);

describe('modules to save', () => {
  it('are those whose names end with an entry, as in PEFT, with all below them', () => {
    // PEFT compares the ends of names, not of their parts: pre_classifier ends with classifier.
    expect(savedModules([], classifier).modules).toEqual(['classifier', 'pre_classifier']);
    expect(names({ targetModules: ['query'] }, classifier).filter((name) => !name.includes('lora'))).toEqual([
      'base_model.model.classifier.dense.bias',
      'base_model.model.classifier.dense.weight',
      'base_model.model.classifier.out_proj.weight',
      'base_model.model.pre_classifier.weight',
    ]);
    expect(savedModules(['up_proj', 'norm'], toy).modules).toEqual([
      'model.layers.0.mlp.up_proj',
      'model.layers.1.mlp.up_proj',
      'model.norm',
    ]);
  });

  it('are no targets, neither of all-linear nor of a name', () => {
    const adapted = (options: object) => names(options, classifier).filter((name) => name.includes('lora_A'));
    const dense = 'base_model.model.enc.layer.0.output.dense.lora_A.weight';
    expect(adapted({ targetModules: ['dense'] })).toEqual([dense]);
    expect(adapted({}).length).toBe(2);
    expect(bind({}, classifier).adapterConfig()).toMatchObject({
      target_modules: ['dense', 'query'],
      modules_to_save: ['classifier', 'pre_classifier'],
      task_type: 'SEQ_CLS',
    });
  });

  it('are spelled out, and null where there are none', () => {
    expect(bind({ modulesToSave: ['norm'] }).adapterConfig()!.modules_to_save).toEqual(['model.norm']);
    expect(bind({}).adapterConfig()!.modules_to_save).toBeNull();
  });

  it('are refused when they name nothing or a matrix with two uses', () => {
    expect(refusal(() => bind({ modulesToSave: ['lmhead'] }))).toMatchObject({
      code: 'OPTION_INVALID',
      hint: expect.stringContaining('"lm_head"'),
    });
    const tied = {
      ...toy,
      parameters: new Map([...toy.parameters].filter(([name]) => !name.startsWith('lm_head'))),
    };
    expect(refusal(() => bind({ modulesToSave: ['embed_tokens'] }, tied)).hint).toContain('embeddings: true');
    expect(refusal(() => bind({ modulesToSave: ['lm_head'] }, tied)).hint).toContain(
      'model.embed_tokens.weight',
    );
  });

  it('of somebody else may be absent here, and biases that PEFT writes twice are left aside', async () => {
    const tuning = bind({ targetModules: ['query'], bias: 'all' }, classifier);
    const params = new Map(
      tuning.tensors.map(({ name, shape }) => [
        name,
        tensor('float32', shape, new Float32Array(shape.reduce((a, b) => a * b)).fill(0.5)),
      ]),
    );
    const config = JSON.parse(adapterConfigText(tuning, 'base'));
    const bias = tensor('float32', [4], new Float32Array(4));
    const file = new Map([
      ...params,
      ['base_model.model.classifier.original_module.dense.bias', bias],
      ['base_model.model.classifier.modules_to_save.dense.bias', bias],
    ]);
    const theirs = { ...config, modules_to_save: ['classifier', 'score'] };
    const read = parseAdapter(theirs, file, classifier, tuningKinds);
    expect(read.params).toEqual(params);
    expect(read.tuning.adapterConfig()).toEqual(tuning.adapterConfig());
  });
});

describe('trained biases', () => {
  it('are those of the targets, or all, and have PEFT’s names', () => {
    const biases = (bias: string) =>
      names({ bias, targetModules: ['q_proj', 'k_proj'] }).filter((name) => name.endsWith('.bias'));
    expect(biases('none')).toEqual([]);
    expect(biases('lora_only')).toEqual([
      'base_model.model.model.layers.0.attn.q_proj.base_layer.bias',
      'base_model.model.model.layers.1.attn.q_proj.base_layer.bias',
    ]);
    expect(biases('all')).toHaveLength(10);
    expect(biases('all')).toContain('base_model.model.model.layers.0.attn.v_proj.bias');
  });

  it('start from those of the checkpoint', async () => {
    const params = await startingParams(bind({ bias: 'lora_only', targetModules: ['q_proj'] }));
    const bias = params.get('base_model.model.model.layers.0.attn.q_proj.base_layer.bias')!;
    expect(bias.data.every((value) => value !== 0)).toBe(true);
  });

  it('of BitFit need a model with biases, and a head needs a classifier', () => {
    const without = { ...toy, parameters: new Map([['model.norm.weight', [4]]]) };
    expect(refusal(() => bitfit.bind({}, without))).toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringContaining('no bias'),
    });
    expect(bitfit.bind({}, classifier).tensors.map(({ name }) => name)).toEqual([
      'classifier.dense.bias',
      'classifier.dense.weight',
      'classifier.out_proj.weight',
      'enc.layer.0.output.dense.bias',
      'enc.layer.0.query.bias',
      'pre_classifier.weight',
    ]);
    expect(refusal(() => head.bind({}, toy))).toMatchObject({ code: 'OPTION_INVALID' });
    expect(head.bind({}, classifier).tensors).toHaveLength(4);
  });
});
