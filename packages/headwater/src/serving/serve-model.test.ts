import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  GREEDY,
  KEY,
  MODEL,
  STORIES,
  type StoryServer,
  startStoryServer,
  writeAdapter,
} from '../../test/support/story-server.ts';
import { FIXTURES } from '../../test/training-setup.ts';
import { serveModel } from './serve-model.ts';

let stories: StoryServer;
beforeAll(async () => {
  stories = await startStoryServer();
}, 30_000);
afterAll(() => stories?.close());

describe('adapters', () => {
  it('have names of their own beside the model', async () => {
    const names = [];
    for await (const { id } of stories.client.models.list()) names.push(id);
    expect(names).toEqual([MODEL, 'one', 'team/two']);
    expect(await stories.client.models.retrieve('team/two')).toMatchObject({ id: 'team/two', parent: MODEL });
    const texts = [
      await stories.text(),
      await stories.text({ model: 'one' }),
      await stories.text({ model: 'team/two' }),
    ];
    expect(new Set(texts).size).toBe(3);
    // In one batch each, at the same time.
    const together = [
      stories.text(),
      stories.text({ model: 'one' }),
      stories.text({ model: 'team/two' }),
      stories.text({ model: 'one' }),
    ];
    expect(await Promise.all(together)).toEqual([...texts, texts[1]]);
  });

  it('are loaded again when their folder changes; what is under way ends with the old one', async () => {
    await writeAdapter(join(stories.home, 'changing'), 5);
    await stories.fetchJson('/v1/adapters', { name: 'changing', folder: join(stories.home, 'changing') });
    const long = { model: 'changing', max_tokens: 200 };
    const before = await stories.text(long);
    const stream = await stories.client.completions.create({
      ...GREEDY,
      ...long,
      prompt: 'Once upon a time',
      stream: true,
    });
    let said = '';
    let after: Promise<string> | undefined;
    for await (const chunk of stream) {
      said += chunk.choices[0]?.text ?? '';
      if (after === undefined) {
        await writeAdapter(join(stories.home, 'changing'), 6);
        after = stories.text(long);
      }
    }
    expect(said).toBe(before);
    expect(await after).not.toBe(before);
    expect(stories.warnings.at(-1)).toContain('loaded again');
    // A file that is no adapter leaves the one that works in place.
    await writeFile(join(stories.home, 'changing/adapter_model.safetensors'), 'half of a file');
    expect(await stories.text(long)).toBe(await after);
    expect(stories.warnings.at(-1)).toContain('the old one stays');
  });

  it('come and go over HTTP, behind the key', async () => {
    const entry = await stories.fetchJson('/v1/adapters', {
      name: 'late',
      folder: join(stories.home, 'two'),
    });
    expect(entry).toMatchObject({ status: 201, body: { id: 'late', parent: MODEL } });
    expect(await stories.text({ model: 'late' })).toBe(await stories.text({ model: 'team/two' }));
    expect(await stories.client.models.delete('late').catch((error) => error.status)).toBe(404);
    const gone = await fetch(`${stories.server.url}/v1/adapters/late`, {
      method: 'DELETE',
      headers: { authorization: `Bearer ${KEY}` },
    });
    expect(await gone.json()).toMatchObject({ id: 'late', deleted: true });
    await expect(stories.text({ model: 'late' })).rejects.toMatchObject({
      status: 404,
      code: 'model_not_found',
    });
    const refused = await stories.fetchJson('/v1/adapters', {
      name: 'bad',
      folder: join(stories.home, 'nothing'),
    });
    expect(refused).toMatchObject({ status: 400, body: { error: { type: 'invalid_request_error' } } });
    expect(
      (await stories.fetchJson('/v1/adapters', { name: MODEL, folder: join(stories.home, 'one') })).status,
    ).toBe(400);
  });
});

describe('the door', () => {
  it('asks for the key everywhere but at the health check', async () => {
    const stranger = new OpenAI({ baseURL: `${stories.server.url}/v1`, apiKey: 'guessed', maxRetries: 0 });
    await expect(stranger.models.list()).rejects.toBeInstanceOf(OpenAI.AuthenticationError);
    expect((await fetch(`${stories.server.url}/v1/models`)).status).toBe(401);
    const health = await fetch(`${stories.server.url}/health`);
    expect(await health.json()).toMatchObject({ status: 'ok', model: MODEL, hasChatTemplate: true });
  });

  it('lets in the pages it was told of', async () => {
    const allowed = async (origin: string) =>
      (
        await fetch(`${stories.server.url}/v1/models`, { method: 'OPTIONS', headers: { origin } })
      ).headers.get('access-control-allow-origin');
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
    const port = Number(new URL(stories.server.url).port);
    await expect(serveModel({ model: STORIES, port })).rejects.toMatchObject({ code: 'OPTION_INVALID' });
    const adapters = { broken: join(stories.home, 'nothing') };
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
      const answer = await stories.fetchJson(`/v1/${path}`, body);
      expect(answer, JSON.stringify(body)).toMatchObject({ status, body: { error: { param } } });
    }
    const tooLong = await stories.client.completions
      .create({ ...GREEDY, prompt: 'x', max_tokens: 1000 })
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
          const response = await stories.send(`/v1/${path}`, JSON.stringify(body));
          const answer = await response.text();
          if (response.status === 200) return;
          expect(response.status).toBeLessThan(500);
          expect(JSON.parse(answer).error.message).toBeTypeOf('string');
        },
      ),
      { seed: 3, numRuns: 150 },
    );
    for (const raw of ['', '{', 'null', '"a"', '[]', `{"model":"${'x'.repeat(5 * 2 ** 20)}"}`]) {
      const response = await stories.send('/v1/completions', raw);
      expect(response.status).toBeGreaterThanOrEqual(400);
      expect(response.status).toBeLessThan(500);
      expect(await response.json()).toHaveProperty('error.message');
    }
    expect(await stories.text()).not.toBe('');
  });

  it('ends what a client asked for when it goes away', async () => {
    const long = { ...GREEDY, prompt: 'Once upon a time', max_tokens: 450 };
    const gone = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const controller = new AbortController();
        const stream = await stories.client.completions.create(
          { ...long, stream: true },
          { signal: controller.signal },
        );
        for await (const _ of stream) break;
        controller.abort();
      }),
    );
    expect(gone).toHaveLength(4);
    // All rows of the batch were taken; this one gets its turn because they were given back.
    expect(await stories.text({ max_tokens: 3 })).not.toBe('');
  });
});
