/** Models and commands for the test page `engine.html`. */

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import type { Params } from '../../../headwater/src/base/tensor.ts';
import type { TokenizedExample } from '../../../headwater/src/data/types.ts';
import { decodeParams, encodeParams } from '../../../headwater/src/federation/params.ts';
import { isModelFile } from '../../../headwater/src/federation/wire/model-file.ts';
import type { Commands, PlainExample } from '../pages/commands.ts';
import { type StaticServer, type StaticServerOptions, startStaticServer } from './static-server.ts';

const web = join(import.meta.dirname, '../..');
const headwater = join(web, '../headwater');

/** URL prefixes of model folders. */
const MODELS: Record<string, string> = {
  '/fixtures/': join(headwater, 'test/fixtures'),
  '/assets-of-headwater/': join(headwater, 'assets'),
};

/** Serves a folder that a test made. Call before the server starts. */
export function serveModels(prefix: `/${string}/`, folder: string): void {
  MODELS[prefix] = folder;
}

export function startEngineServer(
  options: Pick<StaticServerOptions, 'isolated' | 'alter'> = {},
): Promise<StaticServer> {
  return startStaticServer({ mounts: { '/': join(web, 'dist-test'), ...MODELS }, ...options });
}

/** What a manifest says of a model's files. `model`: as its URL. */
export function modelFiles(model: string): { path: string; digest: string; bytes: number }[] {
  const [prefix, folder] = Object.entries(MODELS).find(([start]) => model.startsWith(start))!;
  const path = join(folder, model.slice(prefix.length));
  return readdirSync(path)
    .filter(isModelFile)
    .map((name) => {
      const bytes = readFileSync(join(path, name));
      return { path: name, digest: createHash('sha256').update(bytes).digest('hex'), bytes: bytes.length };
    });
}

interface TestWindow {
  call(name: string, input: unknown): Promise<unknown>;
}

export interface EnginePage {
  readonly page: Page;
  call<Name extends keyof Commands>(
    name: Name,
    input: Parameters<Commands[Name]>[0],
  ): Promise<Awaited<ReturnType<Commands[Name]>>>;
  close(): Promise<void>;
}

/** A tab in a context of its own: its storage is empty, unless a context is given. */
export async function openEnginePage(
  browser: Browser,
  server: StaticServer,
  context?: BrowserContext,
): Promise<EnginePage> {
  const own = context ?? (await browser.newContext());
  const page = await own.newPage();
  page.on('console', (message) => message.type() === 'error' && console.error(`page: ${message.text()}`));
  page.on('pageerror', (error) => console.error(`page: ${error.message}`));
  await page.goto(`${server.url}/engine.html`);
  await page.waitForFunction(() => document.title === 'ready');
  return {
    page,
    call: (name, input) =>
      page.evaluate(([what, value]) => (globalThis as unknown as TestWindow).call(what, value), [
        name,
        input,
      ] as const) as never,
    close: () => (context === undefined ? own.close() : page.close()),
  };
}

export const paramsText = (params: Params) => Buffer.from(encodeParams(params)).toString('base64');

export const paramsOf = (text: string) => decodeParams(new Uint8Array(Buffer.from(text, 'base64')), 'page');

export const plain = ({ tokens, supervised }: TokenizedExample): PlainExample => ({
  tokens: [...tokens],
  supervised: [...supervised],
});
