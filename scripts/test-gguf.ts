/**
 * `npm run test:gguf`: what we export computes the same in llama.cpp. Greedy tokens are compared for real models, with a
 * LoRA adapter trained here, and for a random model of every architecture. Needs the package registry, or a folder in
 * HEADWATER_LLAMA_CPP where node-llama-cpp is installed. Folders given as arguments are compared as well: a model with
 * `adapter/` in it, as transformers and PEFT write them; its tokenizer is replaced by a toy.
 */

import { cpSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { rng } from '../packages/headwater/src/base/random.ts';
import { GGUF_ARCHITECTURES } from '../packages/headwater/src/exports/gguf/registry.ts';
import { openCheckpoint } from '../packages/headwater/src/models/checkpoint-node.ts';
import { loadTokenizer } from '../packages/headwater/src/models/tokenizer-node.ts';
import { readAdapterFolder } from '../packages/headwater/src/training/adapter-folder-node.ts';
import { train } from '../packages/headwater/src/training/train-node.ts';
import { compareBesides, compareMerged, compareTexts, continuations, type Workshop } from './gguf/compare.ts';
import { llamaCpp } from './gguf/llama-cpp.ts';
import { writeToyTokenizer } from './gguf/toy-tokenizer.ts';

const headwater = join(import.meta.dirname, '../packages/headwater');
const SEED_LM = join(headwater, 'assets/seed-lm-7m');
const STORIES = join(headwater, 'test/fixtures/models/stories260K');
const RANDOM_MODELS = join(headwater, 'test/fixtures/huggingface');

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
  const base = { name, model, prompts };
  await compareMerged(shop, base, 'f32');
  await compareTexts(
    shop,
    name,
    join(shop.folder, `${name}-f32.gguf`),
    (text) => tokenizer.encode(text, { addSpecialTokens: false }),
    [...TEXTS, ...[...tokenizer.specialTokens.values()].map((token) => `a ${token}b`)],
  );
  const trained = {
    ...base,
    name: `${name}-trained`,
    adapter: await trainedAdapter(shop.folder, name, folder),
  };
  const [plain, adapted] = [await continuations(base), await continuations(trained)];
  const same = plain.every((ids, i) => ids.join() === adapted[i]!.join());
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

/** Random weights of a few hundred kilobytes with an adapter of PEFT, prompts drawn by seed. */
async function randomModel(shop: Workshop, source: string): Promise<void> {
  const name = basename(source);
  // llama.cpp expects certain tokens of models that are called phi3.
  const folder = join(shop.folder, name.replace(/\d/g, 'n'));
  cpSync(source, folder, { recursive: true });
  const { definition } = await openCheckpoint(folder);
  if (definition.objective !== 'causal-lm' || !GGUF_ARCHITECTURES.has(definition.architecture)) {
    console.log(`  --: ${name}: ${definition.architecture} is not exported as GGUF`);
    return;
  }
  writeToyTokenizer(folder, definition.shape.vocabSize);
  const model = await openCheckpoint(folder);
  const adapter = await readAdapterFolder(join(folder, 'adapter'), model.definition);
  const random = rng('test-gguf', name);
  const prompts = [3, 5, 13].map((length) =>
    Array.from({ length }, () => Math.floor(random.uniform() * definition.shape.vocabSize)),
  );
  const subject = { name: `${name}-random`, model, prompts };
  await compareMerged(shop, subject, 'f32');
  const adapted = { ...subject, adapter: { source: 'adapter', ...adapter, weight: 1 } };
  await compareMerged(shop, { ...adapted, name: `${name}-merged` }, 'f32');
  await compareBesides(shop, adapted, 'f32');
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
    await realModel(shop, 'stories260K', STORIES);
    await realModel(shop, 'seed-lm-7m', SEED_LM);
    const folders = readdirSync(RANDOM_MODELS).map((name) => join(RANDOM_MODELS, name));
    for (const folder of [...folders, ...process.argv.slice(2)])
      if (existsSync(join(folder, 'model.safetensors'))) await randomModel(shop, folder);
    console.log(failed === 0 ? 'llama.cpp writes what we write' : `${failed} comparisons differ`);
  }
} finally {
  rmSync(work, { recursive: true, force: true });
}
// llama.cpp's threads would keep the process.
process.exit(failed === 0 ? 0 : 1);
