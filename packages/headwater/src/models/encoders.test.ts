import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { writeTinyEncoder } from '../../test/support/tiny-encoder.ts';
import { HeadwaterError } from '../base/errors.ts';
import { openCheckpoint, readWeight } from './checkpoint-node.ts';
import { definitionOf, needsLabels } from './registry.ts';

type Config = Record<string, unknown>;

async function configOf(name: string): Promise<Config> {
  const path = `../../test/fixtures/huggingface/${name}/config.json`;
  return JSON.parse(await readFile(new URL(path, import.meta.url), 'utf8'));
}

async function refusal(name: string, changes: Config, labels?: readonly string[]): Promise<HeadwaterError> {
  const config = { ...(await configOf(name)), ...changes };
  try {
    definitionOf(config, 'config.json', { labels });
  } catch (error) {
    if (error instanceof HeadwaterError) return error;
    throw error;
  }
  throw new Error(`${JSON.stringify(changes)} was accepted`);
}

describe('encoders', () => {
  it.each([
    ['bert-cls', ['classifier'], ['bert.pooler.dense']],
    ['roberta-cls', ['classifier'], ['classifier.dense']],
    ['distilbert-cls', ['pre_classifier', 'classifier'], ['pre_classifier']],
  ])('%s is a classifier with its head named', async (name, headModules, headLinears) => {
    const config = await configOf(name);
    const definition = definitionOf(config, '');
    expect(definition).toMatchObject({ objective: 'sequence-classification', headModules });
    expect(definition.classifier).toMatchObject({
      labels: ['LABEL_0', 'LABEL_1', 'LABEL_2', 'LABEL_3'],
      freshModules: [],
      initializerRange: 0.02,
    });
    expect(definition.shape).toMatchObject({ vocabSize: 160, numLogits: 4, numKeyValueHeads: 4, headDim: 8 });
    const heads = definition.linears.filter(({ role }) => role === 'head');
    expect(heads.map(({ module }) => module)).toEqual(headLinears);
    expect(needsLabels(config, '')).toBe(false);
  });

  it('number positions behind the row of the padding token in roberta', async () => {
    const config = await configOf('roberta-cls');
    const rows = (changes: Config) => {
      const { shape, parameters } = definitionOf({ ...config, ...changes }, '');
      return [shape.maxPositionEmbeddings, parameters.get('roberta.embeddings.position_embeddings.weight')];
    };
    expect(rows({})).toEqual([128, [130, 32]]);
    expect(rows({ pad_token_id: 0 })).toEqual([129, [130, 32]]);
    expect(rows({ pad_token_id: undefined })).toEqual([128, [130, 32]]);
  });

  it.each([
    ['bert-cls', { is_decoder: true }, /is_decoder/],
    ['bert-cls', { position_embedding_type: 'relative_key' }, /position_embedding_type/],
    ['bert-cls', { hidden_act: 'mish' }, /hidden_act/],
    ['bert-cls', { embedding_size: 16 }, /embedding_size/],
    ['bert-cls', { architectures: ['BertForTokenClassification'] }, /BertForTokenClassification/],
    ['bert-cls', { problem_type: 'multi_label_classification' }, /problem_type/],
    ['roberta-cls', { architectures: ['RobertaForCausalLM'] }, /RobertaForCausalLM/],
    ['roberta-cls', { id2label: { 0: 'score' }, label2id: { score: 0 } }, /regression/],
    ['distilbert-cls', { sinusoidal_pos_embds: true }, /sinusoidal_pos_embds/],
  ])('%s with %o is refused, not ignored', async (name, changes, message) => {
    const error = await refusal(name, changes);
    expect(error.code).toBe('MODEL_UNSUPPORTED');
    expect(error.message).toMatch(message);
  });

  it('have a class for every number', async () => {
    expect((await refusal('bert-cls', { id2label: { 0: 'a', 2: 'b' } })).message).toMatch(/no "1"/);
    const config: Config = { ...(await configOf('bert-cls')), num_labels: 3 };
    delete config.id2label;
    expect(definitionOf(config, '').classifier?.labels).toEqual(['LABEL_0', 'LABEL_1', 'LABEL_2']);
  });

  it('take other classes as a fresh head, names for numbered ones as names', async () => {
    const config = await configOf('distilbert-cls');
    const withLabels = (labels: string[], changes: Config = {}) =>
      definitionOf({ ...config, ...changes }, '', { labels }).classifier;
    expect(withLabels(['a', 'b', 'c', 'd'])).toMatchObject({
      labels: ['a', 'b', 'c', 'd'],
      freshModules: [],
    });
    expect(withLabels(['a', 'b'])).toMatchObject({
      labels: ['a', 'b'],
      freshModules: ['pre_classifier', 'classifier'],
      config: { architectures: ['DistilBertForSequenceClassification'], label2id: { a: 0, b: 1 } },
    });
    const named = { id2label: { 0: 'no', 1: 'yes' } };
    expect(withLabels(['no', 'yes'], named)?.freshModules).toEqual([]);
    expect(withLabels(['no', 'maybe'], named)?.freshModules).toHaveLength(2);
    const order = await refusal('distilbert-cls', named, ['yes', 'no']);
    expect(order).toMatchObject({ code: 'OPTION_INVALID' });
    expect(order.message).toMatch(/yes, no.*no, yes/);
    expect((await refusal('bert-cls', {}, ['a', 'a'])).message).toMatch(/"a" twice/);
    expect((await refusal('bert-cls', {}, ['a'])).message).toMatch(/only one class/);
    expect((await refusal('llama', {}, ['a', 'b'])).message).toMatch(/llama models write text/);
  });
});

describe('a checkpoint without head', () => {
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'headwater-encoder-'));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));
  const labels = ['x', 'y', 'z'];

  it('needs classes, and asks for them only then', async () => {
    const folder = join(root, 'plain');
    await writeTinyEncoder(folder, 'tiny-bert');
    const error = await openCheckpoint(folder).catch((cause) => cause);
    expect(error).toMatchObject({ code: 'MODEL_UNSUPPORTED' });
    expect(error.message).toMatch(/without a classification head/);
    const model = await openCheckpoint(folder, { labels: async () => labels });
    expect(model.definition.classifier?.labels).toEqual(labels);
    const own = new URL('../../test/fixtures/huggingface/bert-cls', import.meta.url).pathname;
    const never = () => Promise.reject(new Error('asked'));
    expect((await openCheckpoint(own, { labels: never })).definition.shape.numLogits).toBe(4);
  });

  it('gets a head that is the same wherever it is opened', async () => {
    const folder = join(root, 'twice');
    await writeTinyEncoder(folder, 'tiny-bert');
    const [a, b] = [await openCheckpoint(folder, { labels }), await openCheckpoint(folder, { labels })];
    const weight = await readWeight(a.weights, 'classifier.weight');
    expect(weight).toEqual(await readWeight(b.weights, 'classifier.weight'));
    expect(weight).toHaveLength(3 * 32);
    const stddev = Math.sqrt(weight.reduce((sum, x) => sum + x * x, 0) / weight.length);
    expect(stddev).toBeGreaterThan(0.015);
    expect(stddev).toBeLessThan(0.025);
    expect(await readWeight(a.weights, 'classifier.bias')).toEqual(new Float32Array(3));
    expect(a.definition.headModules).toEqual(['classifier']);
  });

  it('is read under the names of bare encoders and of the first published files', async () => {
    const [plain, bare, old] = [join(root, 'names'), join(root, 'bare'), join(root, 'old')];
    await writeTinyEncoder(plain, 'tiny-bert');
    await writeTinyEncoder(bare, 'tiny-bert', (name) => name.replace(/^bert\./, ''));
    const gamma = (name: string) =>
      name.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta');
    await writeTinyEncoder(old, 'tiny-bert', gamma);
    const model = await openCheckpoint(plain, { labels });
    for (const folder of [bare, old]) {
      const other = await openCheckpoint(folder, { labels });
      for (const name of model.definition.parameters.keys())
        expect(await readWeight(other.weights, name)).toEqual(await readWeight(model.weights, name));
    }
  });

  it('of a masked language model has no pooler either: it is then part of the fresh head', async () => {
    const folder = join(root, 'masked');
    await writeTinyEncoder(folder, 'tiny-bert', (name) => (name.includes('pooler') ? undefined : name));
    const model = await openCheckpoint(folder, { labels });
    expect(model.definition.headModules).toEqual(['classifier', 'bert.pooler']);
    expect(model.definition.classifier?.freshModules).toEqual(['classifier', 'bert.pooler']);
    expect(await readWeight(model.weights, 'bert.pooler.dense.bias')).toEqual(new Float32Array(32));
  });

  it('with a head in its configuration must hold it', async () => {
    const folder = join(root, 'lost');
    await writeTinyEncoder(folder, 'tiny-roberta');
    const path = join(folder, 'config.json');
    const config = JSON.parse(await readFile(path, 'utf8'));
    await writeFile(path, JSON.stringify({ ...config, architectures: ['RobertaForSequenceClassification'] }));
    const error = await openCheckpoint(folder).catch((cause) => cause);
    expect(error).toMatchObject({ code: 'MODEL_INVALID' });
    expect(error.message).toMatch(/"classifier\.dense\.bias" is missing/);
  });
});
