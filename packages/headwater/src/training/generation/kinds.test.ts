import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FIXTURES } from '../../../test/training-setup.ts';
import { openCheckpoint } from '../../models/checkpoint-node.ts';
import { createNodeExecutor } from '../../runtime/onnx-node.ts';
import { frozen } from '../../tuning/frozen.ts';
import { readAdapterFolder } from '../adapter-folder-node.ts';
import { createEngine } from '../engine-core.ts';

/** Base folder, adapter folder. Architectures differ in caps, windows and norms, kinds in what comes before a sequence. */
const CASES: readonly (readonly [string, string | undefined])[] = [
  ...['gemma2', 'gemma3', 'phi3', 'gpt2', 'gpt-neox', 'olmo2', 'smollm3'].map(
    (name) => [name, `${name}/adapter`] as const,
  ),
  ['mistral', undefined],
  ['mistral', 'mistral-prefix-tuning/adapter'],
  ['qwen3', 'qwen3-prefix-projection/adapter'],
  ['gemma3', 'gemma3-prompt-tuning/adapter'],
  ['llama', 'llama-p-tuning/adapter'],
  ['gpt2', 'gpt2-ia3/adapter'],
];

it.each(CASES)('a batch over the cache equals recomputation for %s with %s', async (base, adapter) => {
  const model = await openCheckpoint(join(FIXTURES, 'huggingface', base));
  const folder = adapter === undefined ? undefined : join(FIXTURES, 'huggingface', adapter);
  const { tuning, params } =
    folder === undefined
      ? { tuning: frozen, params: new Map() }
      : await readAdapterFolder(folder, model.definition);
  const engine = createEngine({ model, tuning, executor: createNodeExecutor() });
  const prompts = [
    Int32Array.of(21, 98, 105),
    Int32Array.from({ length: 23 }, (_, i) => (i * 37) % 90),
    Int32Array.of(4),
  ];
  const options = {
    ...{ maxNewTokens: 30, temperature: 0, topP: 1, topK: 0 },
    stopTokenIds: [],
    seedPath: ['kinds'],
  };
  const requests = prompts.map((prompt) => ({ prompt, options }));
  const batch = await engine.generateBatch(params, requests, { batchSize: 2 });
  for (const [i, prompt] of prompts.entries())
    expect(batch[i]!.tokens).toEqual(await engine.generate(params, prompt, { ...options, useCache: false }));
});

it('classifiers do not continue text', async () => {
  const model = await openCheckpoint(join(FIXTURES, 'huggingface/bert-cls'));
  const engine = createEngine({ model, tuning: frozen, executor: createNodeExecutor() });
  const options = {
    ...{ maxNewTokens: 3, temperature: 0, topP: 1, topK: 0 },
    stopTokenIds: [],
    seedPath: [0],
  };
  await expect(engine.generate(new Map(), Int32Array.of(1), options)).rejects.toMatchObject({
    code: 'MODEL_UNSUPPORTED',
  });
});
