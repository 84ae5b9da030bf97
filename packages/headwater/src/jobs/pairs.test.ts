import { join } from 'node:path';
import { expect, it } from 'vitest';
import { numTargetsOf, numTokensOf, pairOf } from '../data/pairs.ts';
import { tokenizeExamples } from '../data/tokenize.ts';
import type { Example, TokenizedExample } from '../data/types.ts';
import { loadTokenizer } from '../models/tokenizer-node.ts';
import { shareExamples, viewExamples } from './shared-examples.ts';

const codec = await loadTokenizer(join(import.meta.dirname, '../../assets/seed-lm-7m'));
const words = (count: number, word: string) => ` ${word}`.repeat(count);

function pair(prompt: string, chosen: string, rejected: string): Example {
  const meta = { where: 'x:1', options: [chosen, rejected] };
  return { kind: 'completion', prompt, completion: chosen, meta };
}

function tokenized(example: Example, maxLength: number) {
  return tokenizeExamples([example], codec, { maxLength, pairs: true });
}

const promptOf = ({ tokens, supervised }: TokenizedExample) => [...tokens.slice(0, supervised.indexOf(1))];

it('a pair is both answers to one prompt, and weighs what both weigh', () => {
  const { tokenized: found, report } = tokenized(pair('the cat', ' sat', ' ran far away'), 64);
  const [example] = found;
  const { rejected } = example!;
  const alone = tokenizeExamples(pairOf(pair('the cat', ' sat', ' ran far away')), codec, { maxLength: 64 });
  expect([example!.tokens, rejected!.tokens]).toEqual(alone.tokenized.map(({ tokens }) => tokens));
  expect(rejected!.numTargets).toBeGreaterThan(example!.numTargets);
  expect(numTokensOf(example!)).toBe(alone.report.numTokens);
  expect(report).toMatchObject({ numTokens: alone.report.numTokens, numTargets: numTargetsOf(example!) });
});

it('a prompt too long for the longer answer is cut alike for both', () => {
  const example = pair(`start${words(60, 'cat')}`, ' yes', words(12, 'dog'));
  const { tokenized: found, report } = tokenized(example, 40);
  const { rejected, ...chosen } = found[0]!;
  expect(promptOf(chosen)).toEqual(promptOf(rejected!));
  expect(rejected!.tokens.length).toBe(40);
  expect(chosen.tokens.length).toBeLessThan(40);
  expect(report).toMatchObject({ promptsTruncated: 1, completionsTruncated: 0 });
  expect(
    tokenizeExamples([example], codec, { maxLength: 40, pairs: true, overflow: 'drop' }).report.dropped,
  ).toBe(1);
});

it('an example without a second answer is no pair', () => {
  const { meta: _, ...rest } = pair('a', ' b', ' c');
  const lonely = { ...rest, meta: { where: 'x:7' } } as Example;
  expect(() => tokenized(lonely, 32)).toThrow('the example has no rejected answer');
  expect(() => pairOf({ kind: 'text', text: 'a', meta: { where: 'x:8', options: ['a', 'b'] } })).toThrow();
});

it('pairs pass through shared memory whole', () => {
  const examples = ['x', 'y z'].map(
    (text) => tokenized(pair('say', ` ${text}`, ` not ${text}`), 32).tokenized[0]!,
  );
  const back = viewExamples(shareExamples(examples));
  for (const [i, { tokens, numTargets, rejected }] of back.entries()) {
    expect([...tokens]).toEqual([...examples[i]!.tokens]);
    expect([...rejected!.tokens]).toEqual([...examples[i]!.rejected!.tokens]);
    expect([numTargets, rejected!.numTargets]).toEqual([
      examples[i]!.numTargets,
      examples[i]!.rejected!.numTargets,
    ]);
  }
});
