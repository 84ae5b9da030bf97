import * as backend from '@huggingface/tokenizers';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { rememberWords, type Splitter, wordMemo } from './tokenizer-words.ts';

const { ByteLevelPreTokenizer } = backend as unknown as {
  readonly ByteLevelPreTokenizer: new (config: object) => Splitter;
};

test('a memo never gives another word’s value, and keeps at most two generations', () => {
  const words = fc.array(fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'constructor'), { maxLength: 60 });
  fc.assert(
    fc.property(words, (said) => {
      const memo = wordMemo<string>(2);
      for (const word of said) {
        expect([undefined, `${word}!`]).toContain(memo.get(word));
        memo.put(word, `${word}!`);
        expect(memo.get(word)).toBe(`${word}!`);
      }
      expect([...new Set(said)].filter((word) => memo.get(word) !== undefined).length).toBeLessThanOrEqual(4);
    }),
  );
});

test('a word in use stays while others come and go', () => {
  const memo = wordMemo<number>(2);
  memo.put('kept', 1);
  for (let i = 0; i < 20; i++) {
    memo.put(`other ${i}`, i);
    expect(memo.get('kept')).toBe(1);
  }
  expect(memo.get('other 0')).toBeUndefined();
});

test('the bytes of a word are the same the second time, and counted once', () => {
  const part = new ByteLevelPreTokenizer({ type: 'ByteLevel', use_regex: false });
  const made: string[] = [];
  const plain = part.pre_tokenize_text.bind(part);
  part.pre_tokenize_text = (word, options) => {
    made.push(word);
    return plain(word, options);
  };
  rememberWords({ model: null, pre_tokenizer: part });
  const words = [' größe', 'x', ' größe', 'y'.repeat(300), 'x', 'y'.repeat(300)];
  const fresh = new ByteLevelPreTokenizer({ type: 'ByteLevel', use_regex: false });
  expect(words.map((word) => part.pre_tokenize_text(word))).toEqual(
    words.map((word) => fresh.pre_tokenize_text(word)),
  );
  expect(made).toEqual([' größe', 'x', 'y'.repeat(300), 'y'.repeat(300)]);
});
