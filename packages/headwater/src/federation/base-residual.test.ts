import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { distance, setup, TRAIN, toyExamples } from '../../test/training-setup.ts';
import { rng } from '../base/random.ts';
import type { Params } from '../base/tensor.ts';
import { openCheckpoint } from '../models/checkpoint-node.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { createEngine } from '../training/engine-core.ts';
import { wholeParams, writeModelFolder } from '../training/model-folder-node.ts';
import { frozen } from '../tuning/frozen.ts';
import { lora } from '../tuning/lora.ts';
import {
  isResidual,
  needsResidual,
  type ResidualForm,
  residualGrowth,
  withResidual,
} from './base-residual.ts';
import { matrixOf, tensorOf } from './linear-algebra.ts';
import { addScaled } from './params.ts';

/** GPT-2 stores [D, E]; its attn.c_attn and mlp have E ≠ D. llama stores [E, D]. */
const MODELS = [
  { folder: 'huggingface/gpt2', targets: ['c_attn', 'c_fc'] },
  { folder: 'huggingface/llama', targets: ['k_proj', 'down_proj'] },
];
const FORMS: readonly ResidualForm[] = ['dense', { rank: 5 }];

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'headwater-residual-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const small = (params: Params): Params =>
  new Map(
    [...params].map(([name, value]) => [
      name,
      isResidual(name) ? { ...value, data: value.data.map((x) => 0.3 * x) } : value,
    ]),
  );

describe.each(MODELS)('a residual in $folder', ({ folder: source, targets }) => {
  const options = lora.options.parse({ rank: 3, alpha: 5, targetModules: targets });

  it.each(FORMS)(
    'computes what the whole model with it computes, read again from its folder: %o',
    async (form) => {
      const made = await setup(source, ({ definition }) =>
        withResidual(lora.bind(options, definition), definition, form),
      );
      const { model, tuning, engine } = made;
      const params = small(made.params);
      expect([...params.keys()].filter(isResidual).length).toBeGreaterThan(0);
      const tokens = Int32Array.of(1, 5, 9, 2, 7);
      const expected = await engine.logits(params, tokens);
      const plain = new Map([...params].filter(([name]) => !isResidual(name)));
      const without = createEngine({
        model,
        tuning: lora.bind(options, model.definition),
        executor: createNodeExecutor(),
      });
      expect(largest(await without.logits(plain, tokens), expected)).toBeGreaterThan(1e-2);
      const out = join(folder, `${source.replace('/', '-')}-${JSON.stringify(form).length}`);
      expect(tuning.adapterConfig()).toBeUndefined();
      await writeModelFolder(out, model, await wholeParams(model, tuning, params));
      const again = createEngine({
        model: await openCheckpoint(out),
        tuning: frozen,
        executor: createNodeExecutor(),
      });
      expect(largest(await again.logits(new Map(), tokens), expected)).toBeLessThan(2e-5);
    },
  );
});

const largest = (a: Float32Array, b: Float32Array) => Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));

describe('a residual in training', () => {
  it('begins as nothing, stays as it is, and B A beside it moves as it would beside a changed base', async () => {
    const options = lora.options.parse({ rank: 2, targetModules: ['q_proj'] });
    const { model, tuning, engine, params } = await setup('huggingface/llama', ({ definition }) =>
      withResidual(lora.bind(options, definition), definition, 'dense'),
    );
    const fresh = await tuning.init(rng('fresh'), async () => new Float32Array(0));
    for (const [name, { data }] of fresh) if (isResidual(name)) expect(data.every((x) => x === 0)).toBe(true);
    const examples = toyExamples([9, 12], model.definition.shape.vocabSize);
    const trained = await engine.train(small(params), examples, TRAIN);
    const still = (of: Params) => new Map([...of].filter(([name]) => isResidual(name)));
    expect(still(trained.params)).toEqual(still(small(params)));
    const out = join(folder, 'changed-base');
    const zeroB = new Map(
      [...small(params)].map(([name, value]) => [
        name,
        name.includes('lora_B') ? { ...value, data: new Float32Array(value.data.length) } : value,
      ]),
    );
    await writeModelFolder(out, model, await wholeParams(model, tuning, zeroB));
    const changed = await openCheckpoint(out);
    const plain = lora.bind(options, changed.definition);
    const other = createEngine({ model: changed, tuning: plain, executor: createNodeExecutor() });
    const factors = new Map([...small(params)].filter(([name]) => !isResidual(name)));
    const expected = await other.train(factors, examples, TRAIN);
    expect(distance(trained.params, expected.params)).toBeLessThan(1e-4);
  });
});

describe('where it can be', () => {
  it('a tuning without known factors comes back as it is, and the method says what it needs', async () => {
    const { definition } = await openCheckpoint(
      join(import.meta.dirname, '../../test/fixtures/huggingface/llama'),
    );
    expect(withResidual(frozen, definition, 'dense')).toBe(frozen);
    const plain = lora.bind(lora.options.parse({ rank: 2, targetModules: ['q_proj'] }), definition);
    expect(needsResidual(plain.tensors)).toHaveLength(1);
    expect(needsResidual(withResidual(plain, definition, 'dense').tensors)).toEqual([]);
    expect(needsResidual([])).toHaveLength(1);
  });

  it('grows by a product in either form, equal where the rank is enough', () => {
    const stem = 'base_model.model.m';
    const [b, a] = [tensorOf(matrixOf({ shape: [3, 1], data: Float32Array.of(1, 2, 3) })), [2, -1]];
    const growthOf = (form: 'dense' | 'factored') => {
      const names = form === 'dense' ? ['base_residual'] : ['base_residual_A', 'base_residual_B'];
      const shapes =
        form === 'dense'
          ? [[3, 2]]
          : [
              [2, 2],
              [3, 2],
            ];
      const before: Params = new Map(
        names.map((name, i) => [
          `${stem}.${name}.weight`,
          tensorOf(matrixOf({ shape: shapes[i]!, data: new Float32Array(shapes[i]![0]! * 2) })),
        ]),
      );
      const rowA = matrixOf({ shape: [1, 2], data: Float32Array.from(a) });
      return addScaled(before, residualGrowth(before, `${stem}.lora_A.weight`, matrixOf(b), rowA), 1);
    };
    const dense = growthOf('dense').get(`${stem}.base_residual.weight`)!;
    expect([...dense.data]).toEqual([2, -1, 4, -2, 6, -3]);
    const factored = growthOf('factored');
    const product = matrixOf(factored.get(`${stem}.base_residual_B.weight`)!).mmul(
      matrixOf(factored.get(`${stem}.base_residual_A.weight`)!),
    );
    for (const [i, value] of product.to1DArray().entries()) expect(value).toBeCloseTo(dense.data[i]!, 5);
  });
});
