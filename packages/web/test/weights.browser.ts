/** Base weights in other forms for a tab: what each costs in loss, and that a form changes nothing where it should not. */

import { join } from 'node:path';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rng } from '../../headwater/src/base/random.ts';
import type { Params } from '../../headwater/src/base/tensor.ts';
import { openCheckpoint, readWeight } from '../../headwater/src/models/checkpoint-node.ts';
import { createNodeExecutor } from '../../headwater/src/runtime/onnx-node.ts';
import { createEngine } from '../../headwater/src/training/engine-core.ts';
import { lora } from '../../headwater/src/tuning/lora.ts';
import { relativeError } from '../../headwater/test/support/op-cases.ts';
import { toyExamples } from '../../headwater/test/training-setup.ts';
import type { OpenRequest } from './pages/commands.ts';
import { launchChromium } from './support/chromium.ts';
import {
  modelFiles,
  openEnginePage,
  paramsOf,
  paramsText,
  plain,
  startEngineServer,
} from './support/engine-page.ts';
import type { StaticServer } from './support/static-server.ts';

let browser: Browser;
let server: StaticServer;

beforeAll(async () => {
  server = await startEngineServer();
  browser = await launchChromium({ webgpu: true });
});

afterAll(async () => {
  await browser?.close();
  await server?.close();
});

/** A checkpoint in bfloat16, which no GPU computes with. */
const MODEL = '/assets-of-headwater/seed-lm-7m';
const OPTIONS = { rank: 4 };
const examples = toyExamples([20, 14], 4096);

async function inNode() {
  const model = await openCheckpoint(join(import.meta.dirname, '../../headwater/assets/seed-lm-7m'));
  const tuning = lora.bind(lora.options.parse(OPTIONS), model.definition);
  const fresh = await tuning.init(rng('weights'), (name) => readWeight(model.weights, name), noText);
  const params: Params = new Map(
    [...fresh].map(([name, value]) => {
      const random = rng('weights', name);
      return [name, { ...value, data: value.data.map(() => 0.02 * random.normal()) }];
    }),
  );
  const executor = createNodeExecutor();
  const engine = createEngine({ model, tuning, executor });
  const { loss, grads } = await engine.gradients(params, examples, { maxLength: 64 });
  await executor.dispose();
  return { params, loss, grads };
}

const noText = async () => {
  throw new Error('no kind here asks for text');
};

type Form = Pick<OpenRequest, 'backend' | 'weights' | 'quantized' | 'noFallback' | 'maxWeightBytes'>;

async function inTab(form: Form, params: Params) {
  const tab = await openEnginePage(browser, server);
  await tab.call('open', {
    ...{ model: MODEL, files: modelFiles(MODEL), tuning: { kind: 'lora', options: OPTIONS } },
    ...form,
  });
  await tab.call('take', { params: paramsText(params), examples: examples.map(plain) });
  const { loss, grads } = await tab.call('gradients', { maxLength: 64 });
  await tab.close();
  return { loss, grads: paramsOf(grads) };
}

function worst(actual: Params, expected: Params): number {
  return Math.max(...[...expected].map(([name, { data }]) => relativeError(actual.get(name)!.data, data)));
}

describe('seed-lm-7m', async () => {
  const expected = await inNode();

  // The largest difference of the loss in nats: at least twice what was measured (docs/benchmarks.md).
  test.each<[string, Form, number]>([
    ['as stored', { backend: 'wasm', weights: 'stored' }, 1e-5],
    ['widened to float32', { backend: 'wasm', weights: 'float32' }, 1e-5],
    ['rounded to float16', { backend: 'wasm', weights: 'float16' }, 1e-3],
    ['int8', { backend: 'wasm', quantized: { bits: 8, blockSize: 32 } }, 0.02],
    ['int4', { backend: 'wasm', quantized: { bits: 4, blockSize: 32 } }, 0.3],
  ])('%s: the loss stays within its bound', async (name, form, bound) => {
    const actual = await inTab(form, expected.params);
    const difference = actual.loss - expected.loss;
    console.log(
      `${name}: loss ${actual.loss.toFixed(6)}, ${difference >= 0 ? '+' : ''}${difference.toFixed(6)}; gradients ${worst(actual.grads, expected.grads).toExponential(1)}`,
    );
    expect(Math.abs(difference)).toBeLessThan(bound);
    if (bound <= 1e-5) expect(worst(actual.grads, expected.grads)).toBeLessThan(1e-4);
  });

  test('bfloat16 on WebGPU: widened, the same gradients, nothing on the CPU', async () => {
    const actual = await inTab({ backend: 'webgpu', noFallback: true }, expected.params);
    expect(Math.abs(actual.loss - expected.loss)).toBeLessThan(1e-4);
    expect(worst(actual.grads, expected.grads)).toBeLessThan(1e-3);
  });

  test('bfloat16 on WebGPU as it is stored would fall back to the CPU, which the placement check notices', async () => {
    await expect(
      inTab({ backend: 'webgpu', weights: 'stored', noFallback: true }, expected.params),
    ).rejects.toThrow(/CPU|fallback/i);
  });

  test('sessions that give their weights back compute the same when they come back', async () => {
    const actual = await inTab({ backend: 'wasm', maxWeightBytes: 1 }, expected.params);
    expect(worst(actual.grads, expected.grads)).toBeLessThan(1e-4);
  });
});
