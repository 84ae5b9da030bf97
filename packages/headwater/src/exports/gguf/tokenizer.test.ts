import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { unpacked } from '../../../test/support/unpack-fixture.ts';
import { FIXTURES } from '../../../test/training-setup.ts';
import { openCheckpoint } from '../../models/checkpoint-node.ts';
import type { Model } from '../../models/model.ts';
import { normalizeFiles } from '../../models/tokenizer-files.ts';
import { byteLevelMetadata } from './byte-level-tokenizer.ts';
import { loadableName } from './model-name.ts';
import { sentencePieceMetadata } from './sentence-piece-tokenizer.ts';
import { readVocabulary, tokenizerMetadata } from './tokenizer.ts';
import type { VocabularyTable } from './vocabulary.ts';

const SEED_LM = join(FIXTURES, '../../assets/seed-lm-7m');
const STORIES = join(FIXTURES, 'models/stories260K');

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'headwater-gguf-tokenizer-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

async function metadataOf(folder: string) {
  const model = await openCheckpoint(folder);
  return new Map(
    tokenizerMetadata(model, await readVocabulary(model)).map(([key, { value }]) => [key, value]),
  );
}

/** The tokenizer of a fixture, as one of a model with so many rows. */
async function published(name: string, vocabSize: number): Promise<VocabularyTable> {
  const folder = await unpacked(`tokenizers/${name}`);
  const model = { folder, definition: { shape: { vocabSize } } } as unknown as Model;
  const { table } = await readVocabulary(model);
  await rm(folder, { recursive: true });
  return table;
}

describe('a byte-level tokenizer in GGUF', () => {
  it('has tokens, merges, kinds of tokens, special tokens and the chat template', async () => {
    const metadata = await metadataOf(SEED_LM);
    expect(metadata.get('tokenizer.ggml.model')).toBe('gpt2');
    expect(metadata.get('tokenizer.ggml.pre')).toBe('gpt-2');
    const tokens = metadata.get('tokenizer.ggml.tokens') as string[];
    expect(tokens).toHaveLength(4096);
    expect(tokens.slice(0, 8)).toEqual([
      ...['<|pad|>', '<|bos|>', '<|eos|>', '<|system|>', '<|user|>', '<|assistant|>', '<|end|>', '!'],
    ]);
    const types = metadata.get('tokenizer.ggml.token_type') as number[];
    expect(types.slice(0, 8)).toEqual([3, 3, 3, 3, 3, 3, 3, 1]);
    expect((metadata.get('tokenizer.ggml.merges') as string[]).slice(0, 2)).toEqual(['Ġ t', 'h e']);
    expect(metadata.get('tokenizer.ggml.bos_token_id')).toBe(1);
    expect(metadata.get('tokenizer.ggml.eos_token_id')).toBe(6);
    expect(metadata.get('tokenizer.ggml.padding_token_id')).toBe(0);
    expect(metadata.get('tokenizer.ggml.add_bos_token')).toBe(false);
    expect(metadata.get('tokenizer.chat_template')).toContain('add_generation_prompt');
  });

  it('has the name that llama.cpp gives to its splitting rule', async () => {
    const name = (table: VocabularyTable) =>
      new Map(byteLevelMetadata(table)).get('tokenizer.ggml.pre')!.value;
    expect(name(await published('gpt2', 50_257))).toBe('gpt-2');
    expect(name(await published('qwen2.5', 151_936))).toBe('qwen2');
    const split = (regex: string) => ({
      type: 'Sequence',
      pretokenizers: [
        { type: 'Split', pattern: { Regex: regex }, behavior: 'Isolated', invert: false },
        { type: 'ByteLevel', add_prefix_space: false, use_regex: false },
      ],
    });
    const llama3 =
      "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
    expect(name(tableOf({ pre_tokenizer: split(llama3), model: { ignore_merges: true } }))).toBe('llama-bpe');
    expect(name(tableOf({ pre_tokenizer: split(llama3) }))).toBe('smaug-bpe');
    const digits = {
      type: 'Sequence',
      pretokenizers: [
        { type: 'Digits', individual_digits: true },
        { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
      ],
    };
    expect(name(tableOf({ pre_tokenizer: digits }))).toBe('smollm');
  });

  it.each([
    ['an unknown rule', { pre_tokenizer: { type: 'Whitespace' } }, /no name for/],
    [
      'a space before the text',
      { pre_tokenizer: { type: 'ByteLevel', add_prefix_space: true } },
      /no name for/,
    ],
    ['a normalizer', { normalizer: { type: 'Lowercase' } }, /Lowercase/],
    ['ignore_merges of another rule', { model: { ignore_merges: true } }, /with ignore_merges/],
  ])('is refused with %s', (_, changes, message) => {
    expect(() => byteLevelMetadata(tableOf(changes))).toThrow(message);
  });
});

describe('a SentencePiece-like tokenizer in GGUF', () => {
  it('has scores in the order of its merges, bytes and a space before the text', async () => {
    const metadata = await metadataOf(STORIES);
    expect(metadata.get('tokenizer.ggml.model')).toBe('llama');
    const tokens = metadata.get('tokenizer.ggml.tokens') as string[];
    const types = metadata.get('tokenizer.ggml.token_type') as number[];
    expect(tokens.slice(0, 4)).toEqual(['<unk>', '<s>', '</s>', '<0x00>']);
    expect(types.slice(0, 4)).toEqual([2, 3, 3, 6]);
    const scores = metadata.get('tokenizer.ggml.scores') as number[];
    const scoreOf = (token: string) => scores[tokens.indexOf(token)];
    expect(['▁t', 'he', '▁a', '▁the', 'a'].map(scoreOf)).toEqual([-1, -2, -3, -7, 0]);
    expect(metadata.get('tokenizer.ggml.add_space_prefix')).toBe(true);
    expect(metadata.get('tokenizer.ggml.add_bos_token')).toBe(true);
    expect(metadata.get('tokenizer.ggml.unknown_token_id')).toBe(0);
  });

  it('is written from the 32,000 pieces of Llama, with rows that no token has', async () => {
    const table = await published('phi3-mini', 32_064);
    const metadata = new Map(sentencePieceMetadata(table).map(([key, { value }]) => [key, value]));
    const tokens = metadata.get('tokenizer.ggml.tokens') as string[];
    expect(tokens.at(-1)).toBe('[PAD32063]');
    expect((metadata.get('tokenizer.ggml.token_type') as number[]).at(-1)).toBe(5);
    const scores = metadata.get('tokenizer.ggml.scores') as number[];
    expect(['▁t', 'er', 'in', '▁a', '▁'].map((token) => scores[tokens.indexOf(token)])).toEqual([
      ...[-1, -2, -3, -4, 0],
    ]);
    // Runs of spaces come last, as in the file of SentencePiece.
    expect(scores[tokens.indexOf('▁▁')]).toBeLessThan(-10_000);
  });

  it('is refused when scores cannot say what the merges say', () => {
    const vocab = { a: 0, b: 1, c: 2, ab: 3, bc: 4, abc: 5 };
    const table = (merges: string[]) =>
      tableOf({ pre_tokenizer: null, model: { byte_fallback: true, vocab, merges } });
    expect(() => sentencePieceMetadata(table(['a b', 'b c', 'ab c', 'a bc']))).not.toThrow();
    expect(() => sentencePieceMetadata(table(['a b', 'b c', 'ab c']))).toThrow(/no merge of "a" and "bc"/);
    expect(() => sentencePieceMetadata(table(['ab c', 'a b', 'b c', 'a bc']))).toThrow(/scattered/);
  });

  it('is refused with a part that llama.cpp does not have', () => {
    const model = { byte_fallback: true, vocab: { a: 0 }, merges: [] };
    const strip = { type: 'Strip', strip_left: true };
    expect(() => sentencePieceMetadata(tableOf({ pre_tokenizer: null, normalizer: strip, model }))).toThrow(
      /Strip/,
    );
  });
});

it('a Unigram tokenizer is refused', async () => {
  const folder = join(scratch, 'unigram');
  await cp(STORIES, folder, { recursive: true });
  const t5 = await unpacked('tokenizers/t5-small');
  await cp(join(t5, 'tokenizer.json'), join(folder, 'tokenizer.json'));
  const model = await openCheckpoint(folder);
  const large = {
    ...model,
    definition: { ...model.definition, shape: { ...model.definition.shape, vocabSize: 40_000 } },
  };
  const vocabulary = await readVocabulary(large);
  expect(() => tokenizerMetadata(large, vocabulary)).toThrow(/"Unigram"/);
  await rm(t5, { recursive: true });
});

describe('the name of a model', () => {
  it('says Phi-3 exactly when its special tokens take the space behind them', async () => {
    const phi3 = await published('phi3-mini', 32_064);
    expect(loadableName('my-model', 'phi3', phi3)).toBe('my-model (Phi-3)');
    expect(loadableName('Phi-3-mini', 'phi3', phi3)).toBe('Phi-3-mini');
    const other = tableOf({});
    expect(loadableName('phi3-like', 'llama', other)).toBe('phi 3-like');
    expect(loadableName('my-model', 'phi3', other)).toBe('my-model');
  });
});

/** A small byte-level tokenizer with changes. */
function tableOf({ model, ...changes }: Record<string, unknown>): VocabularyTable {
  const tokenizer = {
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
    ...changes,
    model: { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 }, merges: ['a b'], ...(model as object) },
  };
  const { tokenizer: json, addedTokens } = normalizeFiles({ tokenizer, config: {}, where: 'here' });
  const vocabulary = new Map(Object.entries(json.model.vocab as Record<string, number>));
  return { json, vocabulary, addedTokens, vocabSize: 8, where: 'here' };
}
