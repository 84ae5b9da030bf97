/**
 * llama.cpp through node-llama-cpp, installed into a temporary folder: with the graphics builds that it brings along it
 * would be 700 MB in everybody's node_modules. Only what the comparison needs is typed.
 */

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

const VERSION = '3.22.1';

/** Prebuilt CPU binaries by `process.platform` and `process.arch`. */
const BINARIES: Readonly<Record<string, string>> = {
  'linux x64': 'linux-x64',
  'linux arm64': 'linux-arm64',
  'linux arm': 'linux-armv7l',
  'darwin arm64': 'mac-arm64-metal',
  'darwin x64': 'mac-x64',
  'win32 x64': 'win-x64',
  'win32 arm64': 'win-arm64',
};

interface NativeSequence {
  evaluate(tokens: number[], options: object): AsyncIterable<number>;
}
interface NativeContext {
  getSequence(): NativeSequence;
  dispose(): Promise<void>;
}
interface NativeModel {
  createContext(options: object): Promise<NativeContext>;
  tokenize(text: string, specialTokens?: boolean): number[];
  dispose(): Promise<void>;
}
interface Native {
  loadModel(options: object): Promise<NativeModel>;
}

export interface GgufSession {
  /** Text → ids, special tokens recognised, none added. */
  tokenize(text: string): number[];
  greedy(prompt: readonly number[], count: number): Promise<number[]>;
  close(): Promise<void>;
}

export interface LlamaCpp {
  open(file: string, options?: { readonly lora?: string }): Promise<GgufSession>;
}

/** llama.cpp, or why it cannot be had here. `HEADWATER_LLAMA_CPP`: a folder where it is installed already. */
export async function llamaCpp(temporary: string): Promise<LlamaCpp | { readonly missing: string }> {
  const folder = process.env.HEADWATER_LLAMA_CPP ?? temporary;
  if (process.env.HEADWATER_LLAMA_CPP === undefined) {
    const binaries = BINARIES[`${process.platform} ${process.arch}`];
    if (binaries === undefined)
      return { missing: `node-llama-cpp has no prebuilt binaries for ${process.platform} ${process.arch}` };
    const failure = install(folder, ['node-llama-cpp', `@node-llama-cpp/${binaries}`]);
    if (failure !== undefined) return { missing: failure };
  }
  const entry = join(folder, 'node_modules/node-llama-cpp/dist/index.js');
  const { getLlama } = (await import(pathToFileURL(entry).href)) as {
    getLlama(options: object): Promise<Native>;
  };
  // Never compile, never a graphics card: the prebuilt CPU library or an error.
  const native = await getLlama({ build: 'never', gpu: false, logLevel: 'error', progressLogs: false });
  return { open: (file, options = {}) => openSession(native, file, options.lora) };
}

/** What went wrong where the registry does not have or give them; undefined when they are installed. */
function install(folder: string, packages: readonly string[]): string | undefined {
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  const exact = packages.map((name) => `${name}@${VERSION}`);
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error'];
  const PATH = `${dirname(process.execPath)}:${process.env.PATH}`;
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([key]) => !/^npm_(config|package|lifecycle)/.test(key)),
  );
  const result = spawnSync('npm', ['install', ...exact, '--omit=optional', '--ignore-scripts', ...quiet], {
    cwd: folder,
    encoding: 'utf8',
    env: { ...env, PATH },
    shell: process.platform === 'win32',
  });
  if (result.status === 0) return undefined;
  const [reason = 'no reason given'] = `${result.stderr}`.split('\n').filter((line) => line.trim() !== '');
  return `node-llama-cpp cannot be installed here: ${reason}`;
}

/** Keys and values in float32 and plain attention: what is compared is the file, not llama.cpp's shortcuts. */
const EXACT = {
  flashAttention: false,
  experimentalKvCacheKeyType: 'F32',
  experimentalKvCacheValueType: 'F32',
};

async function openSession(native: Native, file: string, lora: string | undefined): Promise<GgufSession> {
  const model = await native.loadModel({ modelPath: file });
  const adapter = lora === undefined ? {} : { lora: { adapters: [{ filePath: lora }] } };
  return {
    tokenize: (text) => [...model.tokenize(text, true)],
    async greedy(prompt, count) {
      const context = await model.createContext({ contextSize: 256, threads: 1, ...EXACT, ...adapter });
      const ids: number[] = [];
      const options = { temperature: 0, yieldEogToken: true };
      for await (const id of context.getSequence().evaluate([...prompt], options)) {
        ids.push(id);
        if (ids.length === count) break;
      }
      await context.dispose();
      return ids;
    },
    close: () => model.dispose(),
  };
}
