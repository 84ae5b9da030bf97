import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FIXTURES } from '../../test/training-setup.ts';
import { rng } from '../base/random.ts';
import { openCheckpoint } from '../models/checkpoint-node.ts';
import { loadTokenizer } from '../models/tokenizer-node.ts';
import { createNodeExecutor } from '../runtime/onnx-node.ts';
import { writeAdapterFolder } from '../training/adapter-folder-node.ts';
import { createEngine } from '../training/engine-core.ts';
import { frozen } from '../tuning/frozen.ts';
import { lora } from '../tuning/lora.ts';
import { type ModelServer, serveModel } from './serve-model.ts';

const STORIES = join(FIXTURES, 'models/stories260K');
const KEY = 'key-of-the-tests';
const TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:";
const MODEL = 'stories';

let home: string;
let server: ModelServer;
let client: OpenAI;
const warnings: string[] = [];

/** Trained by nobody: B is random, so that texts differ from the base model's. */
async function writeAdapter(folder: string, seed: number): Promise<void> {
  const model = await openCheckpoint(STORIES);
  const tuning = lora.bind(
    lora.options.parse({ rank: 2, targetModules: ['q_proj', 'v_proj'] }),
    model.definition,
  );
  const fresh = await tuning.init(rng('adapter', seed), async () => new Float32Array());
  const params = new Map(
    [...fresh].map(([name, value]) => {
      const stream = rng('adapter', seed, name);
      return [name, { ...value, data: value.data.map(() => 0.3 * stream.normal()) }];
    }),
  );
  await writeAdapterFolder(folder, tuning, params, 'stories260K');
}

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'serve-model-'));
  const folder = join(home, 'chat');
  await cp(STORIES, folder, { recursive: true });
  const file = join(folder, 'tokenizer_config.json');
  const config = { ...JSON.parse(await readFile(file, 'utf8')), chat_template: TEMPLATE };
  await writeFile(file, JSON.stringify(config));
  for (const [i, name] of ['one', 'two'].entries()) await writeAdapter(join(home, name), i);
  server = await serveModel({
    model: folder,
    name: MODEL,
    adapters: { one: join(home, 'one'), 'team/two': join(home, 'two') },
    port: 0,
    apiKey: KEY,
    corsOrigins: ['https://page.test'],
    batchSize: 4,
    threads: 1,
    warn: (text) => warnings.push(text),
  });
  client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: KEY, maxRetries: 0 });
}, 30_000);

afterAll(async () => {
  await server?.close();
  await rm(home, { recursive: true, force: true });
});

const greedy = { model: MODEL, temperature: 0, max_tokens: 24 } as const;
const text = async (options: Partial<OpenAI.CompletionCreateParamsNonStreaming> = {}) =>
  (await client.completions.create({ ...greedy, prompt: 'Once upon a time', ...options })).choices[0]!.text;

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
    const whole = await client.completions.create({ ...greedy, prompt: 'Once upon a time' });
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
    const stream = await client.completions.create({
      ...{ ...greedy, prompt: [...prompt], stream: true },
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
    expect(await text({ prompt: 'Once upon a' })).toMatch(/^ time/);
    expect(await text({ prompt: 'Once upon a ti' })).toMatch(/^\S/);
  });

  it('end before a stop string that tokens do not respect', async () => {
    const whole = await text();
    for (const stop of [whole.slice(9, 12), whole.slice(10, 25)]) {
      const result = await client.completions.create({
        ...greedy,
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
    const several = await client.completions.create({ ...greedy, prompt: prompts, n: 2 });
    expect(several.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5]);
    const alone = [];
    for (const prompt of prompts) alone.push(await text({ prompt }));
    expect(several.choices.map((choice) => choice.text)).toEqual(alone.flatMap((one) => [one, one]));
    expect(several.usage?.completion_tokens).toBe(6 * 24);
  });

  it('repeat a seed, and differ by seed and choice', async () => {
    const ask = async (seed: number) =>
      (
        await client.completions.create({
          ...greedy,
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
    const { choices } = await client.completions.create({
      ...greedy,
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
    const expected = (await text({ prompt })).trimStart();
    const whole = await client.chat.completions.create({ ...greedy, messages: [...messages] });
    expect(whole.choices[0]!.message).toEqual({ role: 'assistant', content: expected, refusal: null });
    const stream = client.chat.completions.stream({ ...greedy, messages: [...messages] });
    expect(await stream.finalContent()).toBe(expected);
    expect((await stream.finalChatCompletion()).choices[0]!.finish_reason).toBe('length');
    const parts = [{ type: 'text', text: 'Tell ' } as const, { type: 'text', text: 'one.' } as const];
    const inParts = await client.chat.completions.create({
      ...{ ...greedy, max_completion_tokens: 24, max_tokens: null },
      messages: [
        { role: 'developer', content: 'Tell stories.' },
        { role: 'user', content: parts },
      ],
    });
    expect(inParts.choices[0]!.message.content).toBe(expected);
  });

  it('tell log-probabilities with bytes, streamed and whole alike', async () => {
    const asked = { ...greedy, messages: [...messages], logprobs: true, top_logprobs: 2 };
    const { choices } = await client.chat.completions.create(asked);
    const tokens = choices[0]!.logprobs!.content!;
    const bytes = tokens.flatMap((token) => token.bytes!);
    expect(new TextDecoder().decode(Uint8Array.from(bytes))).toBe(
      // SentencePiece writes the space before the first word into its token; a text does not begin with it.
      ` ${choices[0]!.message.content}`,
    );
    expect(tokens.every(({ top_logprobs }) => top_logprobs.length === 2)).toBe(true);
    const streamed = [];
    for await (const chunk of await client.chat.completions.create({ ...asked, stream: true }))
      streamed.push(...(chunk.choices[0]?.logprobs?.content ?? []));
    const near = ({ logprob, ...rest }: (typeof tokens)[number]) => ({
      ...rest.bytes,
      p: logprob.toFixed(4),
    });
    expect(streamed.map(near)).toEqual(tokens.map(near));
  });
});

describe('adapters', () => {
  it('have names of their own beside the model', async () => {
    const names = [];
    for await (const { id } of client.models.list()) names.push(id);
    expect(names).toEqual([MODEL, 'one', 'team/two']);
    expect(await client.models.retrieve('team/two')).toMatchObject({ id: 'team/two', parent: MODEL });
    const texts = [await text(), await text({ model: 'one' }), await text({ model: 'team/two' })];
    expect(new Set(texts).size).toBe(3);
    // In one batch each, at the same time.
    const together = [text(), text({ model: 'one' }), text({ model: 'team/two' }), text({ model: 'one' })];
    expect(await Promise.all(together)).toEqual([...texts, texts[1]]);
  });

  it('are loaded again when their folder changes; what is under way ends with the old one', async () => {
    await writeAdapter(join(home, 'changing'), 5);
    await fetchJson('/v1/adapters', { name: 'changing', folder: join(home, 'changing') });
    const long = { model: 'changing', max_tokens: 200 };
    const before = await text(long);
    const stream = await client.completions.create({
      ...greedy,
      ...long,
      prompt: 'Once upon a time',
      stream: true,
    });
    let said = '';
    let after: Promise<string> | undefined;
    for await (const chunk of stream) {
      said += chunk.choices[0]?.text ?? '';
      if (after === undefined) {
        await writeAdapter(join(home, 'changing'), 6);
        after = text(long);
      }
    }
    expect(said).toBe(before);
    expect(await after).not.toBe(before);
    expect(warnings.at(-1)).toContain('loaded again');
    // A file that is no adapter leaves the one that works in place.
    await writeFile(join(home, 'changing/adapter_model.safetensors'), 'half of a file');
    expect(await text(long)).toBe(await after);
    expect(warnings.at(-1)).toContain('the old one stays');
  });

  it('come and go over HTTP, behind the key', async () => {
    const entry = await fetchJson('/v1/adapters', { name: 'late', folder: join(home, 'two') });
    expect(entry).toMatchObject({ status: 201, body: { id: 'late', parent: MODEL } });
    expect(await text({ model: 'late' })).toBe(await text({ model: 'team/two' }));
    expect(await client.models.delete('late').catch((error) => error.status)).toBe(404);
    const gone = await fetch(`${server.url}/v1/adapters/late`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${KEY}` },
    });
    expect(await gone.json()).toMatchObject({ id: 'late', deleted: true });
    await expect(text({ model: 'late' })).rejects.toMatchObject({ status: 404, code: 'model_not_found' });
    const refused = await fetchJson('/v1/adapters', { name: 'bad', folder: join(home, 'nothing') });
    expect(refused).toMatchObject({ status: 400, body: { error: { type: 'invalid_request_error' } } });
    expect((await fetchJson('/v1/adapters', { name: MODEL, folder: join(home, 'one') })).status).toBe(400);
  });
});

describe('the door', () => {
  it('asks for the key everywhere but at the health check', async () => {
    const stranger = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'guessed', maxRetries: 0 });
    await expect(stranger.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    expect((await fetch(`${server.url}/v1/models`)).status).toBe(401);
    const health = await fetch(`${server.url}/health`);
    expect(await health.json()).toMatchObject({ status: 'ok', model: MODEL, hasChatTemplate: true });
  });

  it('lets in the pages it was told of', async () => {
    const allowed = async (origin: string) =>
      (await fetch(`${server.url}/v1/models`, { method: 'OPTIONS', headers: { origin } })).headers.get(
        'access-control-allow-origin',
      );
    expect(await allowed('https://page.test')).toBe('https://page.test');
    expect(await allowed('https://other.test')).toBeNull();
  });

  it('does not open plain HTTP to other machines unless told to, nor with a key that is none', async () => {
    for (const apiKey of ['', 'two words'])
      await expect(serveModel({ model: STORIES, port: 0, apiKey })).rejects.toMatchObject({
        code: 'OPTION_INVALID',
      });
    await expect(serveModel({ model: STORIES, host: '0.0.0.0', port: 0 })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    });
  });

  it('says why a model cannot be served, and that a port is taken', async () => {
    const encoder = join(FIXTURES, 'huggingface/bert-cls');
    await expect(serveModel({ model: encoder, port: 0 })).rejects.toMatchObject({
      code: expect.stringMatching(/^(MODEL_UNSUPPORTED|TOKENIZER_INVALID)$/),
    });
    const port = Number(new URL(server.url).port);
    await expect(serveModel({ model: STORIES, port })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    const adapters = { broken: join(home, 'nothing') };
    await expect(serveModel({ model: STORIES, port: 0, adapters })).rejects.toMatchObject({
      code: 'ADAPTER_INVALID',
    });
  });

  it('says what is wrong with a request, by name', async () => {
    const messages = [{ role: 'user', content: 'x' }];
    const chat = { model: MODEL, messages };
    const cases: readonly [string, unknown, number, string | null][] = [
      ['chat/completions', { ...chat, temperature: 3 }, 400, 'temperature'],
      ['chat/completions', { ...chat, colour: 'red' }, 400, 'colour'],
      ['chat/completions', { ...chat, tools: [{ type: 'function' }] }, 400, 'tools'],
      [
        'chat/completions',
        { ...chat, response_format: { type: 'json_object' } },
        400,
        'response_format.type',
      ],
      ['chat/completions', { ...chat, n: 1000 }, 400, 'n'],
      ['chat/completions', { ...chat, top_logprobs: 2 }, 400, 'top_logprobs'],
      ['chat/completions', { ...chat, messages: [{ role: 'tool', content: 'x' }] }, 400, 'messages.0.role'],
      ['chat/completions', { model: MODEL }, 400, 'messages'],
      ['chat/completions', { ...chat, model: 'gpt-5' }, 404, 'model'],
      ['completions', { model: MODEL, prompt: 'x', echo: true }, 400, 'echo'],
      ['completions', { model: MODEL, prompt: [100_000] }, 400, null],
      ['completions', { model: MODEL, prompt: 'x', stop: '' }, 400, 'stop'],
    ];
    for (const [path, body, status, param] of cases) {
      const answer = await fetchJson(`/v1/${path}`, body);
      expect(answer, JSON.stringify(body)).toMatchObject({ status, body: { error: { param } } });
    }
    const tooLong = await client.completions
      .create({ ...greedy, prompt: 'x', max_tokens: 1000 })
      .catch((error) => error);
    expect(tooLong).toMatchObject({ status: 400, code: 'context_length_exceeded' });
  });

  it('answers every body with JSON and goes on', async () => {
    const json = fc.jsonValue({ maxDepth: 3 });
    const near = fc.record(
      {
        model: fc.constant(MODEL),
        prompt: json,
        messages: json,
        stop: json,
        n: json,
        seed: json,
        stream: json,
        max_tokens: fc.integer({ max: 3 }),
      },
      { requiredKeys: ['model'] },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('completions', 'chat/completions'),
        fc.oneof(json, near),
        async (path, body) => {
          const response = await send(`/v1/${path}`, JSON.stringify(body));
          const answer = await response.text();
          if (response.status === 200) return;
          expect(response.status).toBeLessThan(500);
          expect(JSON.parse(answer).error.message).toBeTypeOf('string');
        },
      ),
      { seed: 3, numRuns: 150 },
    );
    for (const raw of ['', '{', 'null', '"a"', '[]', `{"model":"${'x'.repeat(5 * 2 ** 20)}"}`]) {
      const response = await send('/v1/completions', raw);
      expect(response.status).toBeGreaterThanOrEqual(400);
      expect(response.status).toBeLessThan(500);
      expect(await response.json()).toHaveProperty('error.message');
    }
    expect(await text()).not.toBe('');
  });

  it('ends what a client asked for when it goes away', async () => {
    const long = { ...greedy, prompt: 'Once upon a time', max_tokens: 450 };
    const gone = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const controller = new AbortController();
        const stream = await client.completions.create(
          { ...long, stream: true },
          { signal: controller.signal },
        );
        for await (const _ of stream) break;
        controller.abort();
      }),
    );
    expect(gone).toHaveLength(4);
    // All rows of the batch were taken; this one gets its turn because they were given back.
    expect(await text({ max_tokens: 3 })).not.toBe('');
  });
});

function send(path: string, body: string): Promise<Response> {
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${KEY}` };
  return fetch(server.url + path, { method: 'POST', headers, body });
}

async function fetchJson(path: string, body: unknown): Promise<{ status: number; body: unknown }> {
  const response = await send(path, JSON.stringify(body));
  return { status: response.status, body: await response.json() };
}
