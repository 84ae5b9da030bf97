import { existsSync, readdirSync } from 'node:fs';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FIXTURES } from '../../test/training-setup.ts';
import { HeadwaterError } from '../base/errors.ts';
import type { Tensor } from '../base/tensor.ts';
import { readSafetensors, writeSafetensorsFile } from '../models/safetensors-node.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { compare, relativeError } from './verify.ts';
import { verifyFolder } from './verify-node.ts';
import { greedyCase } from './verify-reference.ts';

const executor = createNodeExecutor();
const huggingface = join(FIXTURES, 'huggingface');
let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'headwater-verify-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** A copy of the llama folder whose reference tensors went through `change`. */
async function changed(name: string, change: (tensors: Map<string, Tensor>) => void): Promise<string> {
  const folder = join(scratch, name);
  await cp(join(huggingface, 'llama'), folder, { recursive: true });
  const path = join(folder, 'reference.safetensors');
  const { tensors } = await readSafetensors(path);
  change(tensors);
  await writeSafetensorsFile(path, tensors);
  return folder;
}

function nudge(tensors: Map<string, Tensor>, name: string, by: number): void {
  const value = tensors.get(name) as Tensor<'float32'>;
  tensors.set(name, { ...value, data: value.data.map((item) => item * (1 + by)) });
}

async function failure(folder: string): Promise<HeadwaterError> {
  const error = await verifyFolder(folder, executor).catch((cause) => cause);
  expect(error).toBeInstanceOf(HeadwaterError);
  return error;
}

/** Every folder that lies there: a new architecture or kind brings its own. */
const HUGGING_FACE = readdirSync(huggingface, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => join(huggingface, name));
const OTHER_FORMS = ['left-padded', 'sharded-window'].map((name) =>
  join(FIXTURES, 'training/other-forms', name),
);
/** Base, and the same with an adapter, its steps and its tokens; an adapter's folder beside its base has starting values. */
const numComparisons = (folder: string) => {
  if (existsSync(join(folder, 'config.json'))) return 8;
  return folder.endsWith('-cls') ? 6 : 7;
};

describe('verify', () => {
  it.each([...HUGGING_FACE, ...OTHER_FORMS])('agrees with transformers and PEFT on %s', async (folder) => {
    const report = await verifyFolder(folder, executor);
    expect(report.comparisons.filter(({ pass }) => !pass)).toEqual([]);
    expect(report.comparisons.length).toBeGreaterThanOrEqual(numComparisons(folder));
    const absent = folder.endsWith('-cls') ? ['greedy tokens'] : [];
    expect(report).toMatchObject({ pass: true, absent, unmatched: [], ignored: [] });
    // Far inside the tolerance: an order of magnitude lost would be seen here.
    for (const { error, tolerance } of report.comparisons) expect(error).toBeLessThanOrEqual(tolerance / 10);
  });

  it('sees a wrong number in every part', async () => {
    const parts: [string, string, string, number][] = [
      ['logits', 'lora.logits', 'lora logits', 3e-4],
      ['loss', 'base.loss', 'base loss', 3e-5],
      ['gradient', 'base.grad.model.norm.weight', 'base gradients', 3e-4],
      [
        'lora-gradient',
        'lora.grad.base_model.model.model.layers.0.mlp.up_proj.lora_A.default.weight',
        'lora gradients',
        3e-4,
      ],
      ['losses', 'lora.adamw3.losses', 'lora after 3 AdamW steps: losses', 3e-5],
    ];
    for (const [name, tensor, what, by] of parts) {
      const folder = await changed(name, (tensors) => nudge(tensors, tensor, by));
      const report = await verifyFolder(folder, executor);
      expect(report.pass).toBe(false);
      const failed = report.comparisons.filter(({ pass }) => !pass);
      expect(failed.map((comparison) => comparison.what)).toEqual([what]);
      expect(failed[0]!.worst).toBe(tensor);
    }
  });

  it('sees another greedy token and a reference without counterpart', async () => {
    const tokens = await changed('greedy', (tensors) => {
      (tensors.get('lora.greedy') as Tensor<'int64'>).data[20]! ^= 1n;
    });
    const report = await verifyFolder(tokens, executor);
    expect(report.comparisons.filter(({ pass }) => !pass).map(({ what }) => what)).toEqual([
      'lora greedy tokens',
    ]);
    const alien = await changed('alien', (tensors) => {
      tensors.set('base.grad.model.layers.9.w', tensors.get('base.grad.model.norm.weight')!);
    });
    expect(await verifyFolder(alien, executor)).toMatchObject({
      pass: false,
      unmatched: ['base.grad.model.layers.9.w'],
    });
  });

  it('takes a folder that holds less and says what is absent', async () => {
    const folder = await changed('less', (tensors) => {
      for (const name of [...tensors.keys()])
        if (!['input_ids', 'attention_mask', 'base.logits'].includes(name)) tensors.delete(name);
    });
    const report = await verifyFolder(folder, executor);
    expect(report.comparisons.map(({ what }) => what)).toEqual(['base logits']);
    expect(report).toMatchObject({
      pass: true,
      absent: ['loss', 'gradients', 'AdamW steps', 'greedy tokens'],
    });
  });

  it('fails when there is nothing to compare', async () => {
    const folder = await changed('nothing', (tensors) => {
      for (const name of [...tensors.keys()]) if (/^(base|lora)\./.test(name)) tensors.delete(name);
    });
    expect((await failure(folder)).code).toBe('VERIFY_FAILED');
    await rm(join(folder, 'reference.safetensors'));
    expect((await failure(folder)).code).toBe('VERIFY_FAILED');
  });

  it('says which adapter settings it does not compute', async () => {
    const folder = await changed('settings', () => {});
    const path = join(folder, 'adapter/adapter_config.json');
    const config = JSON.parse(await readFile(path, 'utf8'));
    for (const [change, word] of [
      [{ use_qalora: true }, 'use_qalora'],
      [{ peft_type: 'LOHA' }, 'LOHA'],
    ] as const) {
      await writeFile(path, JSON.stringify({ ...config, ...change }));
      const error = await failure(folder);
      expect(error.code).toBe('ADAPTER_INVALID');
      expect(error.message).toContain(word);
    }
  });
});

describe('relative errors', () => {
  it('are norms of the difference over norms of the reference, with a floor for gradients', () => {
    const pair = { name: 'x', got: [3, 4.5], reference: [3, 4] };
    expect(relativeError(pair)).toBeCloseTo(0.1, 12);
    expect(relativeError(pair, 50)).toBeCloseTo(0.01, 12);
    expect(relativeError({ ...pair, got: [3] })).toBe(Number.POSITIVE_INFINITY);
    const zero = { name: 'z', got: [1e-7], reference: [0] };
    const large = { name: 'l', got: [1000], reference: [1000] };
    expect(compare('g', [zero, large], 1e-4, { isGradient: true })).toMatchObject({ worst: 'z', pass: true });
    expect(compare('g', [zero, large], 1e-4).pass).toBe(false);
    expect(compare('n', [{ name: 'n', got: [Number.NaN], reference: [1] }, pair], 1).pass).toBe(false);
  });

  it('derive the greedy prompt from the batch', () => {
    const rows = [
      [1, 2, 9, 9],
      [1, 2, 3],
    ];
    expect(greedyCase([1, 2, 3, 4, 5], rows)).toEqual({
      prompt: Int32Array.of(1, 2, 3),
      continuation: Int32Array.of(4, 5),
    });
    expect(greedyCase([7, 7], rows)).toBeUndefined();
    expect(greedyCase([1, 2], rows)).toBeUndefined();
  });
});
