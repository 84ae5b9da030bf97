/** A server of the story model with a chat template and two adapters, and OpenAI's client for it. */

import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import OpenAI from 'openai';
import { rng } from '../../src/base/random.ts';
import { openCheckpoint } from '../../src/models/checkpoint-node.ts';
import { type ModelServer, serveModel } from '../../src/serving/serve-model.ts';
import { writeAdapterFolder } from '../../src/training/adapter-folder-node.ts';
import { lora } from '../../src/tuning/lora.ts';
import { FIXTURES } from '../training-setup.ts';

export const STORIES = join(FIXTURES, 'models/stories260K');
export const KEY = 'key-of-the-tests';
export const MODEL = 'stories';
const TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:";

export interface StoryServer {
  /** With the folders of the adapters `one` and `two`. */
  readonly home: string;
  readonly server: ModelServer;
  readonly client: OpenAI;
  readonly warnings: readonly string[];
  /** What the model, or an adapter, says greedily. */
  text(options?: Partial<OpenAI.CompletionCreateParamsNonStreaming>): Promise<string>;
  send(path: string, body: string): Promise<Response>;
  fetchJson(path: string, body: unknown): Promise<{ status: number; body: unknown }>;
  close(): Promise<void>;
}

export const GREEDY = { model: MODEL, temperature: 0, max_tokens: 24 } as const;

/** Trained by nobody: B is random, so that texts differ from the base model's. */
export async function writeAdapter(folder: string, seed: number): Promise<void> {
  const model = await openCheckpoint(STORIES);
  const options = lora.options.parse({ rank: 2, targetModules: ['q_proj', 'v_proj'] });
  const tuning = lora.bind(options, model.definition);
  const fresh = await tuning.init(rng('adapter', seed), async () => new Float32Array());
  const params = new Map(
    [...fresh].map(([name, value]) => {
      const stream = rng('adapter', seed, name);
      return [name, { ...value, data: value.data.map(() => 0.3 * stream.normal()) }];
    }),
  );
  await writeAdapterFolder(folder, tuning, params, 'stories260K');
}

async function writeChatModel(folder: string): Promise<void> {
  await cp(STORIES, folder, { recursive: true });
  const file = join(folder, 'tokenizer_config.json');
  const config = { ...JSON.parse(await readFile(file, 'utf8')), chat_template: TEMPLATE };
  await writeFile(file, JSON.stringify(config));
}

export async function startStoryServer(): Promise<StoryServer> {
  const home = await mkdtemp(join(tmpdir(), 'serve-model-'));
  const warnings: string[] = [];
  const model = join(home, 'chat');
  await writeChatModel(model);
  for (const [i, name] of ['one', 'two'].entries()) await writeAdapter(join(home, name), i);
  const server = await serveModel({
    model,
    name: MODEL,
    adapters: { one: join(home, 'one'), 'team/two': join(home, 'two') },
    port: 0,
    apiKey: KEY,
    corsOrigins: ['https://page.test'],
    batchSize: 4,
    threads: 1,
    warn: (text) => warnings.push(text),
  });
  const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: KEY, maxRetries: 0 });
  const send = (path: string, body: string) => {
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${KEY}` };
    return fetch(server.url + path, { method: 'POST', headers, body });
  };
  return {
    ...{ home, server, client, warnings, send },
    async text(options = {}) {
      const asked = { ...GREEDY, prompt: 'Once upon a time', ...options };
      return (await client.completions.create(asked)).choices[0]!.text;
    },
    async fetchJson(path, body) {
      const response = await send(path, JSON.stringify(body));
      return { status: response.status, body: await response.json() };
    },
    async close() {
      await server.close();
      await rm(home, { recursive: true, force: true });
    },
  };
}
