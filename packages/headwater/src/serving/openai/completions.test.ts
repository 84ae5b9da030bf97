import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { GREEDY, STORIES, type StoryServer, startStoryServer } from '../../../test/support/story-server.ts';
import { openCheckpoint } from '../../models/checkpoint-node.ts';
import { loadTokenizer } from '../../models/tokenizer-node.ts';
import { createNodeExecutor } from '../../runtime/onnx-node.ts';
import { createEngine } from '../../training/engine-core.ts';
import { frozen } from '../../tuning/frozen.ts';

let stories: StoryServer;
beforeAll(async () => {
  stories = await startStoryServer();
}, 30_000);
afterAll(() => stories?.close());

describe('completions', () => {
  it('are what the library generates, whole and streamed, with usage', async () => {
    const model = await openCheckpoint(STORIES);
    const { tokenizer } = await loadTokenizer(STORIES);
    const engine = createEngine({ model, tuning: frozen, executor: createNodeExecutor() });
    const prompt = tokenizer.encode('Once upon a time');
    const ids = await engine.generate(new Map(), prompt, {
      ...{ maxNewTokens: 24, temperature: 0, topK: 0, topP: 1 },
      stopTokenIds: model.eosTokenIds,
      seedPath: [0],
    });
    const whole = await stories.client.completions.create({ ...GREEDY, prompt: 'Once upon a time' });
    expect(whole.choices[0]).toEqual({
      index: 0,
      text: tokenizer.decode(ids),
      logprobs: null,
      finish_reason: 'length',
    });
    expect(whole.usage).toMatchObject({
      prompt_tokens: prompt.length,
      completion_tokens: 24,
      total_tokens: prompt.length + 24,
    });
    const stream = await stories.client.completions.create({
      ...{ ...GREEDY, prompt: [...prompt], stream: true },
      stream_options: { include_usage: true },
    });
    let [streamed, usage, pieces] = ['', undefined as unknown, 0];
    for await (const chunk of stream) {
      streamed += chunk.choices[0]?.text ?? '';
      pieces += chunk.choices.length;
      usage ??= chunk.usage;
    }
    expect(streamed).toBe(tokenizer.decode(ids));
    expect(pieces).toBeGreaterThan(10);
    expect(usage).toMatchObject({
      completion_tokens: 24,
      prompt_tokens_details: { cached_tokens: prompt.length - 1 },
    });
  });

  it('go on where the prompt ends, with the space between two words', async () => {
    expect(await stories.text({ prompt: 'Once upon a' })).toMatch(/^ time/);
    expect(await stories.text({ prompt: 'Once upon a ti' })).toMatch(/^\S/);
  });

  it('end before a stop string that tokens do not respect', async () => {
    const whole = await stories.text();
    for (const stop of [whole.slice(9, 12), whole.slice(10, 25)]) {
      const result = await stories.client.completions.create({
        ...GREEDY,
        prompt: 'Once upon a time',
        stop: ['@@', stop],
      });
      expect(result.choices[0]).toMatchObject({
        text: whole.slice(0, whole.indexOf(stop)),
        finish_reason: 'stop',
      });
    }
  });

  it('answer several prompts several times, each as if alone', async () => {
    const prompts = ['Once upon a time', 'The dog', 'Lily had a red ball and'];
    const several = await stories.client.completions.create({ ...GREEDY, prompt: prompts, n: 2 });
    expect(several.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5]);
    const alone = [];
    for (const prompt of prompts) alone.push(await stories.text({ prompt }));
    expect(several.choices.map((choice) => choice.text)).toEqual(alone.flatMap((one) => [one, one]));
    expect(several.usage?.completion_tokens).toBe(6 * 24);
  });

  it('repeat a seed, and differ by seed and choice', async () => {
    const ask = async (seed: number) =>
      (
        await stories.client.completions.create({
          ...GREEDY,
          prompt: 'Once',
          temperature: 1.2,
          top_p: 0.9,
          seed,
          n: 2,
        })
      ).choices.map((choice) => choice.text);
    const first = await ask(7);
    expect(await ask(7)).toEqual(first);
    expect(first[0]).not.toBe(first[1]);
    expect(await ask(8)).not.toEqual(first);
  });

  it('tell log-probabilities whose tokens are the text', async () => {
    const { choices } = await stories.client.completions.create({
      ...GREEDY,
      prompt: 'Once upon a time',
      logprobs: 3,
    });
    const { text: said, logprobs } = choices[0]!;
    expect(logprobs!.tokens!.join('')).toBe(said);
    expect(logprobs!.text_offset!.map((at) => said[at])).toEqual(logprobs!.tokens!.map((token) => token[0]));
    for (const [i, top] of logprobs!.top_logprobs!.entries()) {
      expect(Object.keys(top)).toHaveLength(3);
      // Greedy: the chosen token is the likeliest.
      expect(logprobs!.token_logprobs![i]).toBe(Math.max(...Object.values(top)));
      expect(logprobs!.token_logprobs![i]).toBeLessThan(0);
    }
  });
});

describe('chats', () => {
  const messages = [
    { role: 'system', content: 'Tell stories.' },
    { role: 'user', content: 'Tell one.' },
  ] as const;

  it('go through the template of the model, streamed and whole alike', async () => {
    const rendered = 'system: Tell stories.\nuser: Tell one.\nassistant:';
    const { tokenizer } = await loadTokenizer(STORIES);
    const prompt = [...tokenizer.encode(rendered, { addSpecialTokens: false })];
    // An answer begins without the space that a continuation has.
    const expected = (await stories.text({ prompt })).trimStart();
    const whole = await stories.client.chat.completions.create({ ...GREEDY, messages: [...messages] });
    expect(whole.choices[0]!.message).toEqual({ role: 'assistant', content: expected, refusal: null });
    const stream = stories.client.chat.completions.stream({ ...GREEDY, messages: [...messages] });
    expect(await stream.finalContent()).toBe(expected);
    expect((await stream.finalChatCompletion()).choices[0]!.finish_reason).toBe('length');
    const parts = [{ type: 'text', text: 'Tell ' } as const, { type: 'text', text: 'one.' } as const];
    const inParts = await stories.client.chat.completions.create({
      ...{ ...GREEDY, max_completion_tokens: 24, max_tokens: null },
      messages: [
        { role: 'developer', content: 'Tell stories.' },
        { role: 'user', content: parts },
      ],
    });
    expect(inParts.choices[0]!.message.content).toBe(expected);
  });

  it('tell log-probabilities with bytes, streamed and whole alike', async () => {
    const asked = { ...GREEDY, messages: [...messages], logprobs: true, top_logprobs: 2 };
    const { choices } = await stories.client.chat.completions.create(asked);
    const tokens = choices[0]!.logprobs!.content!;
    const bytes = tokens.flatMap((token) => token.bytes!);
    expect(new TextDecoder().decode(Uint8Array.from(bytes))).toBe(
      // SentencePiece writes the space before the first word into its token; a text does not begin with it.
      ` ${choices[0]!.message.content}`,
    );
    expect(tokens.every(({ top_logprobs }) => top_logprobs.length === 2)).toBe(true);
    const streamed = [];
    for await (const chunk of await stories.client.chat.completions.create({ ...asked, stream: true }))
      streamed.push(...(chunk.choices[0]?.logprobs?.content ?? []));
    const near = ({ logprob, ...rest }: (typeof tokens)[number]) => ({
      ...rest.bytes,
      p: logprob.toFixed(4),
    });
    expect(streamed.map(near)).toEqual(tokens.map(near));
  });
});
