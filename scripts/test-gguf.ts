/**
 * `npm run test:gguf`: what we export computes the same in llama.cpp. Greedy tokens are compared for real models, with a
 * LoRA adapter trained here, and for a random model of every architecture. Needs the package registry, or a folder in
 * HEADWATER_LLAMA_CPP where node-llama-cpp is installed. With folders as arguments only those are compared: small
 * models, with or without `adapter/` in them; their tokenizers are replaced by a toy.
 */

import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { HeadwaterError } from '../packages/headwater/src/base/errors.ts';
import { rng } from '../packages/headwater/src/base/random.ts';
import { exportModelGguf } from '../packages/headwater/src/exports/gguf/export-model.ts';
import { openCheckpoint } from '../packages/headwater/src/models/checkpoint-node.ts';
import { writeRandomCheckpoint } from '../packages/headwater/src/models/random-checkpoint-node.ts';
import type { Tokenizer } from '../packages/headwater/src/models/tokenizer.ts';
import { loadTokenizer } from '../packages/headwater/src/models/tokenizer-node.ts';
import { readAdapterFolder } from '../packages/headwater/src/training/adapter-folder-node.ts';
import { train } from '../packages/headwater/src/training/train-node.ts';
import { unpacked } from '../packages/headwater/test/support/unpack-fixture.ts';
import {
  compareBesides,
  compareMerged,
  compareTexts,
  type Workshop,
  withContinuations,
} from './gguf/compare.ts';
import { llamaCpp } from './gguf/llama-cpp.ts';
import { writeToyTokenizer } from './gguf/toy-tokenizer.ts';

const headwater = join(import.meta.dirname, '../packages/headwater');
const SEED_LM = join(headwater, 'assets/seed-lm-7m');
const STORIES = join(headwater, 'test/fixtures/models/stories260K');
const RANDOM_MODELS = join(headwater, 'test/fixtures/huggingface');
const GOLDEN_TEXTS = join(headwater, 'test/fixtures/tokenizers/goldens.json');
/** Models with unusual settings, of which llama.cpp computes some. */
const VARIANTS = join(headwater, 'test/fixtures/model-variants');

const PROMPTS = ['Once upon a time', 'The little dog was', 'Lily and her mom went to the', 'One day, a'];
const TEXTS = [
  ...PROMPTS,
  'Hello, world! 123 + 4567 = ?',
  "  two  spaces, a\ttab\nand\n\nlines; it's JOHN'S\r\n",
  'naïve café, Ελλάδα, Москва, 日本語, 🙂👩‍👩‍👧',
  '',
];

async function realModel(shop: Workshop, name: string, folder: string): Promise<void> {
  const model = await openCheckpoint(folder);
  const { tokenizer } = await loadTokenizer(folder);
  const prompts = PROMPTS.map((text) => [...tokenizer.encode(text)]);
  const base = await withContinuations({ name, model, prompts });
  await compareMerged(shop, base, 'f32');
  await compareTexts(
    shop,
    name,
    join(shop.folder, `${name}-f32.gguf`),
    (text) => tokenizer.encode(text, { addSpecialTokens: false }),
    [...TEXTS, ...[...tokenizer.specialTokens.values()].map((token) => `a ${token}b`)],
  );
  const adapter = await trainedAdapter(shop.folder, name, folder);
  const trained = await withContinuations({ name: `${name}-trained`, model, prompts, adapter });
  const same = base.expected.every((ids, i) => ids.join() === trained.expected[i]!.join());
  shop.report(`${name}: the adapter changes what is written`, same ? 'it does not' : undefined);
  for (const type of ['f32', 'f16'] as const) {
    await compareMerged(shop, trained, type);
    await compareBesides(shop, trained, type);
  }
}

/** A few steps on a few sentences, with a rank and an alpha of its own for one module. */
async function trainedAdapter(workplace: string, name: string, folder: string) {
  const data = join(workplace, `${name}.jsonl`);
  const animals = ['cat', 'dog', 'bird', 'frog', 'bear', 'duck', 'fish', 'cow'];
  const rows = animals.map((animal) => ({ text: `The big ${animal} sat on the red boat and sang a song.` }));
  writeFileSync(data, rows.map((row) => JSON.stringify(row)).join('\n'));
  const out = join(workplace, `${name}-adapter`);
  await train({
    model: folder,
    data: { files: data, schema: { kind: 'text' } },
    lora: { rank: 4, alpha: 8, rankPattern: { q_proj: 2 }, alphaPattern: { 'mlp.up_proj': 12 } },
    steps: 20,
    batchSize: 4,
    maxLength: 64,
    optimizer: { learningRate: 5e-3 },
    out,
  });
  const model = await openCheckpoint(folder);
  const { tuning, params } = await readAdapterFolder(out, model.definition);
  return { source: out, tuning, params, weight: 1 };
}

/** Random weights of a few hundred kilobytes, with an adapter of PEFT where one lies in the folder, prompts drawn by seed. */
async function randomModel(shop: Workshop, source: string, mayBeRefused: boolean): Promise<void> {
  const name = basename(source);
  // llama.cpp expects certain tokens of models that are called phi3.
  const folder = mkdtempSync(join(shop.folder, 'model-'));
  cpSync(source, folder, { recursive: true });
  const { definition } = await openCheckpoint(folder);
  if (definition.objective !== 'causal-lm') return;
  writeToyTokenizer(folder, definition.shape.vocabSize);
  const model = await openCheckpoint(folder);
  const random = rng('test-gguf', name);
  const prompts = [3, 5, 13].map((length) =>
    Array.from({ length }, () => Math.floor(random.uniform() * definition.shape.vocabSize)),
  );
  const subject = await withContinuations({ name, model, prompts });
  try {
    await compareMerged(shop, subject, 'f32');
  } catch (error) {
    if (!mayBeRefused || !(error instanceof HeadwaterError) || error.code !== 'MODEL_UNSUPPORTED')
      throw error;
    console.log(`  refused: ${name}: ${error.message}`);
    return;
  }
  if (!existsSync(join(folder, 'adapter'))) return;
  const read = await readAdapterFolder(join(folder, 'adapter'), model.definition);
  const adapter = { source: 'adapter', ...read, weight: 1 };
  const adapted = await withContinuations({ name: `${name}-merged`, model, prompts, adapter });
  await compareMerged(shop, adapted, 'f32');
  await compareBesides(shop, adapted, 'f32');
}

/** Settings that no folder has, put into the configuration of one that is there. */
const MADE: readonly { readonly name: string; readonly base: string; readonly config: object }[] = [
  { name: 'llama-linear', base: 'llama', config: rope({ rope_type: 'linear', factor: 4 }) },
  {
    name: 'llama-yarn',
    base: 'llama',
    config: rope({ rope_type: 'yarn', factor: 4, original_max_position_embeddings: 32 }),
  },
  { name: 'mistral-without-window', base: 'mistral', config: { sliding_window: null } },
  {
    name: 'phi3-longrope-short',
    base: 'phi3',
    config: {
      ...rope({ rope_type: 'longrope', short_factor: [1, 1.5, 2, 3], long_factor: [2, 3, 4, 5] }),
      original_max_position_embeddings: 256,
      max_position_embeddings: 512,
    },
  },
];

function rope(settings: object): object {
  return { rope_parameters: { rope_theta: 10_000, ...settings } };
}

async function madeModel(shop: Workshop, { name, base, config }: (typeof MADE)[number]): Promise<void> {
  const folder = join(mkdtempSync(join(shop.folder, 'made-')), name);
  cpSync(join(RANDOM_MODELS, base), folder, { recursive: true });
  const path = join(folder, 'config.json');
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), ...config }));
  await randomModel(shop, folder, false);
}

/** llama.cpp's smallest context is 256, and it takes the long divisors of LongRoPE beyond the original context, 12 here. */
const BEYOND_LLAMA_CPP = new Set(['phi3-longrope']);

/** Tokenizers of published models under a random model with as many rows, on the texts that Hugging Face's were asked. */
async function publishedTokenizer(shop: Workshop, name: string, modelType: string): Promise<void> {
  const folder = await unpacked(`tokenizers/${name}`);
  const { tokenizer } = await loadTokenizer(folder);
  const config = { ...TINY, model_type: modelType, vocab_size: tokenizer.vocabSize };
  await writeRandomCheckpoint(folder, config, 1);
  const file = join(shop.folder, `${name}-tokenizer.gguf`);
  await exportModelGguf(await openCheckpoint(folder), [], file, { type: 'f16' });
  const { tokenizers } = JSON.parse(readFileSync(GOLDEN_TEXTS, 'utf8')) as {
    tokenizers: Record<string, { text: string }[]>;
  };
  const texts = [...TEXTS, ...tokenizers[name]!.map(({ text }) => text)];
  const comparable = texts.filter((text) => isComparable(text, tokenizer));
  const encode = (text: string) => tokenizer.encode(text, { addSpecialTokens: false });
  await compareTexts(shop, `tokenizer of ${name}`, file, encode, comparable);
  rmSync(folder, { recursive: true });
}

/** llama.cpp composes no characters, and takes what looks like an end token for one, whatever the vocabulary says. */
function isComparable(text: string, tokenizer: Tokenizer): boolean {
  const end = tokenizer.idOf('</s>');
  const isPlain = end !== undefined && !tokenizer.specialTokenIds.has(end);
  return text === text.normalize('NFC') && !(isPlain && text.includes('</s>'));
}

const TINY = {
  ...{ hidden_size: 32, intermediate_size: 32, num_hidden_layers: 1 },
  ...{
    num_attention_heads: 4,
    num_key_value_heads: 4,
    max_position_embeddings: 256,
    tie_word_embeddings: true,
  },
};

async function everything(shop: Workshop): Promise<void> {
  await realModel(shop, 'stories260K', STORIES);
  await realModel(shop, 'seed-lm-7m', SEED_LM);
  await publishedTokenizer(shop, 'gpt2', 'llama');
  await publishedTokenizer(shop, 'qwen2.5', 'qwen2');
  await publishedTokenizer(shop, 'phi3-mini', 'phi3');
  for (const folder of modelFolders(RANDOM_MODELS)) await randomModel(shop, folder, false);
  for (const made of MADE) await madeModel(shop, made);
  for (const folder of modelFolders(VARIANTS))
    if (!BEYOND_LLAMA_CPP.has(basename(folder))) await randomModel(shop, folder, true);
}

function modelFolders(folder: string): string[] {
  const folders = readdirSync(folder).map((name) => join(folder, name));
  return folders.filter((path) => existsSync(join(path, 'model.safetensors')));
}

const work = mkdtempSync(join(tmpdir(), 'headwater-gguf-'));
let failed = 0;
try {
  const llama = await llamaCpp(work);
  if ('missing' in llama) console.log(`skipped: ${llama.missing}`);
  else {
    const report: Workshop['report'] = (what, difference) => {
      if (difference !== undefined) failed += 1;
      console.log(difference === undefined ? `  ok: ${what}` : `  NOT SO: ${what}\n${difference}`);
    };
    const shop: Workshop = { llamaCpp: llama, folder: work, report };
    const given = process.argv.slice(2);
    for (const folder of given) await randomModel(shop, folder, true);
    if (given.length === 0) await everything(shop);
    console.log(failed === 0 ? 'llama.cpp writes what we write' : `${failed} comparisons differ`);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
// llama.cpp's threads would keep the process.
process.exit(failed === 0 ? 0 : 1);
