/** Gradients, scores and three AdamW steps in the browser equal those of Node's CPU, on every backend. */

import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Params } from '../../headwater/src/base/tensor.ts';
import { tuningKinds } from '../../headwater/src/tuning/registry.ts';
import { relativeError } from '../../headwater/test/support/op-cases.ts';
import { setup, TRAIN, toyExamples } from '../../headwater/test/training-setup.ts';
import type { Backend } from '../src/engine/backend.ts';
import { launchChromium } from './support/chromium.ts';
import {
  type EnginePage,
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

/** Largest relative error of a tensor, over all tensors. */
function worst(actual: Params, expected: Params): number {
  return Math.max(...[...expected].map(([name, { data }]) => relativeError(actual.get(name)!.data, data)));
}

const THREE_STEPS = { ...TRAIN, steps: 3, totalSteps: 3 };

const CASES: readonly (readonly [model: string, kind: string, options: object])[] = [
  ['llama', 'lora', { rank: 4 }],
  ['qwen3', 'lora', { rank: 4 }],
  ['mistral', 'full', {}],
];

describe.each<[Backend, number]>([
  ['wasm-threads', 1e-5],
  ['wasm', 1e-5],
  ['webgpu', 1e-4],
])('on %s', (backend, tolerance) => {
  // One for all models: a worker that starts loads ONNX Runtime, which takes longer than these models.
  let tab: EnginePage;
  beforeAll(async () => {
    tab = await openEnginePage(browser, server);
  });
  afterAll(() => tab?.close());

  test.each(CASES)(
    '%s under %s: loss, gradients, scores and three AdamW steps',
    async (folder, kind, options) => {
      const bound = tuningKinds.get(kind)!;
      const { model, params, engine } = await setup(`huggingface/${folder}`, ({ definition }) =>
        bound.bind(bound.options.parse(options), definition),
      );
      const examples = toyExamples([9, 24, 17], model.definition.shape.vocabSize);
      const url = `/fixtures/huggingface/${folder}`;
      const opened = await tab.call('open', {
        ...{ backend, threads: 2, model: url, files: modelFiles(url), tuning: { kind, options } },
        noFallback: backend === 'webgpu',
      });
      expect(opened.choice.backend).toBe(backend);
      await tab.call('take', { params: paramsText(params), examples: examples.map(plain) });
      const expected = await engine.gradients(params, examples, { maxLength: 64 });
      const actual = await tab.call('gradients', { maxLength: 64 });
      expect(Math.abs(actual.loss - expected.loss)).toBeLessThan(tolerance);
      expect(expected.grads.size).toBeGreaterThan(10);
      expect(worst(paramsOf(actual.grads), expected.grads)).toBeLessThan(tolerance);
      const reference = await engine.train(params, examples, THREE_STEPS);
      await tab.call('train', THREE_STEPS);
      expect(worst(paramsOf(await tab.call('trained', null)), reference.params)).toBeLessThan(10 * tolerance);
    },
  );
});
