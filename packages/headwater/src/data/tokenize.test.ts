import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { unpacked } from '../../test/support/unpack-fixture.ts';
import { makeChatTemplate } from '../models/chat-template.ts';
import { loadTokenizer } from '../models/tokenizer-node.ts';
import {
  chatPromptTokens,
  promptTokens,
  type TextCodec,
  type TokenizeOptions,
  tokenizeExamples,
} from './tokenize.ts';
import type { ChatMessage, Example, TokenizedExample } from './types.ts';

const PACKAGE = join(import.meta.dirname, '../..');
const TEMPLATES = join(PACKAGE, 'test/fixtures/chat-templates/templates');
const seed = await loadTokenizer(join(PACKAGE, 'assets/seed-lm-7m'));
const stories = await loadTokenizer(join(PACKAGE, 'test/fixtures/models/stories260K'));
const phi3Folder = await unpacked('tokenizers/phi3-mini');
const phi3 = await loadTokenizer(phi3Folder);
afterAll(async () => {
  await rm(phi3Folder, { recursive: true });
});

/** Without the one template that demands a system message. */
const templateFiles = (await readdir(TEMPLATES)).filter((name) => name !== 'config-mistral-7b.jinja');

const meta = { where: 'x:1' };
const chat = (...messages: [string, string][]): Example => ({
  kind: 'chat',
  messages: messages.map(([role, content]) => ({ role, content })),
  meta,
});
const completion = (prompt: string, text: string): Example => ({
  kind: 'completion',
  prompt,
  completion: text,
  meta,
});

function one(example: Example, codec: TextCodec, options: Partial<TokenizeOptions> = {}): TokenizedExample {
  const { tokenized } = tokenizeExamples([example], codec, { maxLength: 512, ...options });
  const [first] = tokenized;
  if (first === undefined || tokenized.length !== 1) throw new Error(`${tokenized.length} sequences`);
  return first;
}

/** Runs of supervised tokens, as text with special tokens. */
function learnt({ tokens, supervised }: TokenizedExample, { tokenizer }: TextCodec): string[] {
  const runs: number[][] = [];
  tokens.forEach((token, i) => {
    if (supervised[i] !== 1) return;
    if (i === 0 || supervised[i - 1] !== 1) runs.push([]);
    runs.at(-1)?.push(token);
  });
  return runs.map((run) => tokenizer.decode(run, { skipSpecialTokens: false }));
}

describe('chats', () => {
  test('seed-lm-7m: assistant turns with their end token are learnt, nothing else', () => {
    const example = one(
      chat(
        ['system', 'Be brief.'],
        ['user', 'Hi'],
        ['assistant', 'Hello you'],
        ['user', 'Bye'],
        ['assistant', 'See you'],
      ),
      seed,
    );
    const text = seed.tokenizer.decode(example.tokens, { skipSpecialTokens: false });
    expect(text).toBe(
      '<|bos|><|system|>Be brief.<|end|><|user|>Hi<|end|><|assistant|>Hello you<|end|><|user|>Bye<|end|><|assistant|>See you<|end|>',
    );
    expect(learnt(example, seed)).toEqual(['Hello you<|end|>', 'See you<|end|>']);
    expect(example.numTargets).toBe(example.supervised.reduce((a, b) => a + b, 0));
  });

  test('the tokens before the first target are exactly the prompt that generation will see', () => {
    const words = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 });
    const property = fc.property(words, words, (question, answer) => {
      fc.pre(answer.trim() !== '');
      const example = one(chat(['user', question], ['assistant', answer]), seed);
      const prompt = chatPromptTokens([{ role: 'user', content: question }], seed);
      expect([...example.tokens.slice(0, example.supervised.indexOf(1))]).toEqual([...prompt]);
      expect(example.tokens.at(-1)).toBe(seed.tokenizer.eosTokenId);
      expect(example.supervised.at(-1)).toBe(1);
    });
    fc.assert(property, { seed: 5, numRuns: 150 });
  });

  test('phi3-mini (SentencePiece): its template puts an end of text behind the last turn only', () => {
    // The tokenizer itself drops the line break after <|end|> (rstrip).
    const example = one(
      chat(['user', 'Hi'], ['assistant', 'Hello'], ['user', 'Bye'], ['assistant', 'Ciao']),
      phi3,
    );
    expect(learnt(example, phi3)).toEqual(['Hello<|end|>', 'Ciao<|end|><|endoftext|>']);
  });

  test('white space behind an end token is not learnt, in the middle and at the end', async () => {
    const source = await readFile(join(TEMPLATES, 'chatml.jinja'), 'utf8');
    const specialTokens = new Map([['bos_token', '<|bos|>']]);
    const context = { specialTokens, clock: { nowMs: () => 0 }, where: 'chatml' };
    const text = source.replaceAll('<|im_end|>', '<|end|>');
    const codec = { tokenizer: seed.tokenizer, chatTemplate: makeChatTemplate(text, context) };
    const example = one(chat(['user', 'a'], ['assistant', 'b'], ['user', 'c'], ['assistant', 'd']), codec);
    expect(learnt(example, codec)).toEqual(['b<|end|>', 'd<|end|>']);
  });

  test.each(templateFiles)('%s: both answers are learnt, no question is', async (name) => {
    const source = await readFile(join(TEMPLATES, name), 'utf8');
    const specialTokens = new Map(Object.entries({ bos_token: '<|bos|>', eos_token: '<|end|>' }));
    const context = { specialTokens, clock: { nowMs: () => 0 }, where: name };
    const codec = { tokenizer: seed.tokenizer, chatTemplate: makeChatTemplate(source, context) };
    const example = one(
      chat(
        ['user', 'first question'],
        ['assistant', 'first answer'],
        ['user', 'second question'],
        ['assistant', 'second answer'],
      ),
      codec,
      { maxLength: 2048 },
    );
    const runs = learnt(example, codec);
    expect(runs).toHaveLength(2);
    expect(runs[0]).toMatch(/^(<think>\s*<\/think>)?\s*first answer/);
    expect(runs[1]).toMatch(/^(<think>\s*<\/think>)?\s*second answer/);
    expect(runs.join()).not.toContain('question');
  });

  test('Qwen3 writes an earlier turn without its thinking: what it writes is learnt', async () => {
    const source = await readFile(join(TEMPLATES, 'config-qwen3.jinja'), 'utf8');
    const context = { specialTokens: new Map(), clock: { nowMs: () => 0 }, where: 'qwen3' };
    const text = source.replaceAll('<|im_end|>', '<|end|>');
    const codec = { tokenizer: seed.tokenizer, chatTemplate: makeChatTemplate(text, context) };
    const example = one(
      chat(
        ['user', 'q'],
        ['assistant', '<think>\nhm\n</think>\n\n<b>one'],
        ['user', 'r'],
        ['assistant', '<think>\nso\n</think>\n\ntwo'],
      ),
      codec,
    );
    expect(learnt(example, codec)).toEqual(['<b>one<|end|>', '<think>\nso\n</think>\n\ntwo<|end|>']);
  });

  test('an empty assistant turn is not learnt, the others are', () => {
    const example = one(chat(['user', 'q'], ['assistant', ' '], ['user', 'r'], ['assistant', 'a']), seed);
    expect(learnt(example, seed)).toEqual(['a<|end|>']);
  });

  test('an assistant that begins the chat is learnt too', () => {
    const example = one(chat(['assistant', 'Welcome'], ['user', 'Hi'], ['assistant', 'Yes?']), seed);
    expect(learnt(example, seed)).toEqual(['Welcome<|end|>', 'Yes?<|end|>']);
  });

  test('a template that hides a turn, one that refuses it, and none at all are errors with the place', () => {
    const context = { specialTokens: new Map(), clock: { nowMs: () => 0 }, where: 'model' };
    const codecOf = (source: string) => ({
      tokenizer: seed.tokenizer,
      chatTemplate: makeChatTemplate(source, context),
    });
    const example = chat(['user', 'q'], ['assistant', 'a']);
    const hidden = codecOf('{{ messages[0].content }}');
    expect(() => one(example, hidden)).toThrow(
      expect.objectContaining({ code: 'DATA_INVALID', where: 'x:1' }),
    );
    const refusing = codecOf("{{ raise_exception('no ' + messages[0].role) }}");
    expect(() => one(example, refusing)).toThrow(/refuses this chat: no user/);
    const none = { tokenizer: seed.tokenizer, chatTemplate: undefined };
    expect(() => one(example, none)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
  });
});

describe('completions', () => {
  test('completion and end token are learnt; SentencePiece prompts keep their begin token', () => {
    const bytes = one(completion('Q: one\nA:', ' two'), seed);
    expect(learnt(bytes, seed)).toEqual([' two<|end|>']);
    const pieces = one(completion('Once upon', ' a time'), stories);
    expect(stories.tokenizer.decode(pieces.tokens, { skipSpecialTokens: false })).toBe(
      '<s> Once upon a time</s>',
    );
    expect(learnt(pieces, stories)).toEqual(['a time</s>']);
    expect([...promptTokens('Once upon', stories)]).toEqual([
      ...pieces.tokens.slice(0, pieces.supervised.indexOf(1)),
    ]);
  });

  test('a token that joins prompt and completion is learnt', () => {
    const example = one(completion('inter', 'national'), seed);
    expect(learnt(example, seed).join('')).toContain('national');
    expect(seed.tokenizer.decode(example.tokens)).toBe('international');
  });

  test('with an empty prompt the first token is no target', () => {
    const example = one(completion('', 'hello there'), seed);
    expect(example.supervised[0]).toBe(0);
    expect(example.numTargets).toBe(example.tokens.length - 1);
  });
});

describe('length', () => {
  const long = 'word '.repeat(60);
  const report = (example: Example, codec: TextCodec, options: TokenizeOptions) =>
    tokenizeExamples([example], codec, options).report;

  test('a long prompt loses its left but keeps its begin token; the completion stays whole', () => {
    const example = one(completion(long, ' end'), stories, { maxLength: 32 });
    expect(example.tokens).toHaveLength(32);
    expect(example.tokens[0]).toBe(stories.tokenizer.bosTokenId);
    expect(learnt(example, stories)).toEqual(learnt(one(completion(long, ' end'), stories), stories));
    expect(report(completion(long, ' end'), stories, { maxLength: 32 })).toMatchObject({
      promptsTruncated: 1,
      completionsTruncated: 0,
      numTokens: 32,
    });
  });

  test('a long completion loses its right, and a prompt at most what exceeds half of the length', () => {
    const example = completion('Question?', long);
    const cut = one(example, seed, { maxLength: 32 });
    const whole = one(example, seed);
    expect([...cut.tokens]).toEqual([...whole.tokens.slice(0, 32)]);
    expect(report(example, seed, { maxLength: 32 })).toMatchObject({
      promptsTruncated: 0,
      completionsTruncated: 1,
    });
    const both = one(completion(long, long), seed, { maxLength: 32 });
    expect(both.supervised.indexOf(1)).toBe(16);
    expect(both.numTargets).toBe(16);
  });

  test('drop leaves such examples out and counts them; the others keep their source', () => {
    const examples = [completion('a', 'b'), completion('a', long), chat(['user', 'q'], ['assistant', 'a'])];
    const result = tokenizeExamples(examples, seed, { maxLength: 32, overflow: 'drop' });
    expect(result.source).toEqual([0, 2]);
    expect(result.report).toMatchObject({ dropped: 1, numTokenized: 2, completionsTruncated: 0 });
  });

  test('a long plain text becomes pieces in which every token but the first is a target exactly once', () => {
    const property = fc.property(
      fc.integer({ min: 1, max: 200 }),
      fc.integer({ min: 2, max: 40 }),
      (words, maxLength) => {
        const text = Array.from({ length: words }, (_, i) => `w${i}`).join(' ');
        const example: Example = { kind: 'text', text, meta };
        const { tokenized, source } = tokenizeExamples([example], seed, { maxLength });
        const whole = [...seed.tokenizer.encode(text), seed.tokenizer.eosTokenId];
        const targets = tokenized.flatMap(({ tokens, supervised }) =>
          [...tokens].filter((_, i) => supervised[i] === 1),
        );
        expect(targets).toEqual(whole.slice(1));
        expect(tokenized.every(({ tokens }) => tokens.length <= maxLength)).toBe(true);
        expect(new Set(source)).toEqual(new Set([0]));
      },
    );
    fc.assert(property, { seed: 3, numRuns: 100 });
  });

  test('labels travel with the tokens', () => {
    const message: ChatMessage[] = [
      { role: 'user', content: 'q' },
      { role: 'assistant', content: 'a' },
    ];
    expect(one({ kind: 'chat', messages: message, meta: { where: 'x', label: 'l' } }, seed).label).toBe('l');
  });
});
