import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FIXTURES, setup } from '../../test/training-setup.ts';
import { HeadwaterError } from '../base/errors.ts';
import { loadTokenizer } from '../models/tokenizer-node.ts';
import { frozen } from '../tuning/frozen.ts';
import { lora } from '../tuning/lora.ts';
import type { GenerateOptions } from './engine.ts';

const greedy: GenerateOptions = {
  ...{ maxNewTokens: 100, stopTokenIds: [], temperature: 0, topP: 1, topK: 0, seedPath: ['text'] },
};

describe('generation with a key-value cache', () => {
  it.each([
    ...['llama', 'llama3-rope', 'mistral', 'qwen2', 'qwen3', 'smollm3', 'olmo2', 'gemma2', 'gemma3'],
    ...['phi3', 'gpt2', 'gpt-neox', '../model-variants/phi3-longrope'],
  ])('equals recomputation token for token for %s', async (name) => {
    const { engine, params, model } = await setup(`huggingface/${name}`, (m) =>
      lora.bind(lora.options.parse({}), m.definition),
    );
    const { vocabSize, maxPositionEmbeddings } = model.definition.shape;
    const prompt = Int32Array.of(3, 141, 59, 26, 5).map((id) => id % vocabSize);
    // Nearly all positions: more than a window, and than the context that LongRoPE switches at.
    const maxNewTokens = Math.min(100, maxPositionEmbeddings - prompt.length);
    const options = { ...greedy, temperature: 1.3, topK: 50, topP: 0.95, maxNewTokens };
    const cached = await engine.generate(params, prompt, options);
    expect(cached.length).toBe(maxNewTokens);
    expect(cached).toEqual(await engine.generate(params, prompt, { ...options, useCache: false }));
  });

  it('is seeded, streams its tokens and ends before a stop token', async () => {
    const { engine, params } = await setup('huggingface/llama', () => frozen);
    const prompt = Int32Array.of(7, 8, 9);
    const options = { ...greedy, maxNewTokens: 40, temperature: 1 };
    const streamed: number[] = [];
    const text = await engine.generate(params, prompt, options, (id) => streamed.push(id));
    expect(streamed).toEqual([...text]);
    expect(await engine.generate(params, prompt, options)).toEqual(text);
    expect(await engine.generate(params, prompt, { ...options, seedPath: ['other'] })).not.toEqual(text);
    const stop = text[12]!;
    const stopped = await engine.generate(params, prompt, { ...options, stopTokenIds: [stop] });
    expect(stopped).toEqual(text.slice(0, text.indexOf(stop)));
  });

  it('refuses an empty prompt and more tokens than the model has positions', async () => {
    const { engine, params } = await setup('huggingface/llama', () => frozen);
    for (const [prompt, maxNewTokens] of [
      [[], 5],
      [new Array<number>(100).fill(1), 29],
    ] as const) {
      const error = await engine
        .generate(params, Int32Array.from(prompt), { ...greedy, maxNewTokens })
        .catch((e) => e);
      expect(error).toBeInstanceOf(HeadwaterError);
      expect(error.code).toBe('OPTION_INVALID');
    }
  });
});

describe('stories260K', () => {
  it('tells, greedily from the begin token, the story documented by its author', async () => {
    const folder = join(FIXTURES, 'models/stories260K');
    const documented = /tok512\.bin -t 0\.0\n([\s\S]*?)\n```/.exec(
      readFileSync(join(folder, 'stories260K.md'), 'utf8'),
    )![1];
    const { engine, params, model } = await setup('models/stories260K', () => frozen);
    const { tokenizer } = await loadTokenizer(folder);
    const prompt = Int32Array.of(model.bosTokenId!);
    const ids = await engine.generate(params, prompt, { ...greedy, maxNewTokens: 256 });
    expect(ids.length).toBe(256);
    expect(tokenizer.decode(ids).trim()).toBe(documented!.trim());
    expect(await engine.generate(params, prompt, { ...greedy, maxNewTokens: 256, useCache: false })).toEqual(
      ids,
    );
  });
});
