import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { firstWords, letterInParentheses, letterOnFirstLine } from './choice.ts';
import { codeBlock, continuation, passes } from './code.ts';
import { INVALID, lastNumber, markedAnswer, sameAnswer } from './gsm8k.ts';
import { macroF1 } from './macro-f1.ts';
import { passAtK } from './pass-at-k.ts';
import { porterStem } from './porter-stemmer.ts';
import { rougeL } from './rouge.ts';

interface Goldens {
  readonly gsm8k: readonly {
    readonly output: string;
    readonly solution: string;
    readonly strict: string;
    readonly flexible: string;
    readonly strictMatch: boolean;
    readonly flexibleMatch: boolean;
  }[];
  readonly letterOnFirstLine: readonly { output: string; numOptions: number; chosen: number }[];
  readonly letterInParentheses: readonly { output: string; options: string[]; chosen: number }[];
  readonly passAtK: readonly { samples: number; passed: number; k: number; value: number | null }[];
  readonly rougeL: readonly {
    readonly reference: string;
    readonly output: string;
    readonly stemmed: boolean;
    readonly precision: number;
    readonly recall: number;
    readonly f: number;
  }[];
  readonly stems: Readonly<Record<string, string>>;
  readonly macroF1: readonly { truth: number[]; given: number[]; value: number }[];
}

const file = new URL('../../../../test/fixtures/scorers/goldens.json', import.meta.url);
const goldens = JSON.parse(readFileSync(file, 'utf8')) as Goldens;

describe('scores of stored outputs equal those of the reference scorers’ rules', () => {
  it('GSM8K, strictly and by the last number', () => {
    const found = goldens.gsm8k.map(({ output, solution }) => {
      const [strict, flexible] = [markedAnswer(output), lastNumber(output)];
      const strictMatch = sameAnswer(strict, solution);
      return {
        output,
        solution,
        strict,
        flexible,
        strictMatch,
        flexibleMatch: sameAnswer(flexible, solution),
      };
    });
    expect(found).toEqual(goldens.gsm8k);
    const kinds = new Set(found.map((item) => `${item.strictMatch} ${item.flexibleMatch}`));
    expect([...kinds].sort()).toEqual(['false false', 'false true', 'true false', 'true true']);
    expect(found.filter(({ strict }) => strict === INVALID).length).toBeGreaterThan(5);
  });

  it('a letter on the first line, a letter in parentheses', () => {
    const first = goldens.letterOnFirstLine;
    expect(
      first.map((item) => ({ ...item, chosen: letterOnFirstLine(item.output, item.numOptions) })),
    ).toEqual(first);
    const inside = goldens.letterInParentheses;
    expect(
      inside.map((item) => ({ ...item, chosen: letterInParentheses(item.output, item.options) })),
    ).toEqual(inside);
  });

  it('pass@k is the exact fraction', () => {
    for (const { samples, passed, k, value } of goldens.passAtK) {
      const found = passAtK(samples, passed, k);
      if (value === null) expect(found).toBeNaN();
      else expect(found).toBeCloseTo(value, 12);
    }
  });

  it('ROUGE-L, with and without stems', () => {
    for (const { reference, output, stemmed, precision, recall, f } of goldens.rougeL) {
      const found = rougeL(reference, output, stemmed);
      expect(found.precision).toBeCloseTo(precision, 12);
      expect(found.recall).toBeCloseTo(recall, 12);
      expect(found.f).toBeCloseTo(f, 12);
    }
  });

  it('stems are NLTK’s', () => {
    const words = Object.keys(goldens.stems);
    expect(Object.fromEntries(words.map((word) => [word, porterStem(word)]))).toEqual(goldens.stems);
  });

  it('macro-F1 counts every class that occurs the same', () => {
    for (const { truth, given, value } of goldens.macroF1)
      expect(macroF1(truth.map((target, i) => ({ target, predicted: given[i]! })))).toBeCloseTo(value, 12);
  });
});

describe('rules of our own', () => {
  it('find the option that stands first as whole words', () => {
    const options = [' yes', ' no', ' maybe'];
    expect(firstWords('Yes, because', options)).toBe(0);
    expect(firstWords('nobody knows; maybe yes', options)).toBe(2);
    expect(firstWords('No.', options)).toBe(1);
    expect(firstWords('yesterday', options)).toBe(-1);
    expect(firstWords('it is new york city', ['york', 'new york', 'new york city'])).toBe(2);
    expect(firstWords('a+b (c)', ['c', 'a+b'])).toBe(1);
  });

  it('end a continued function where it ends', () => {
    const js = '  return [1].map(x => { return x })\n}\nconsole.log(1)';
    expect(continuation('javascript', js)).toBe('  return [1].map(x => { return x })\n}');
    expect(continuation('javascript', '  const o = {a: 1}\n  return')).toBe('  const o = {a: 1}');
    expect(continuation('javascript', '  return 1')).toBe('  return 1');
    expect(continuation('python', '    return 1\n\ndef other():\n    pass')).toBe('    return 1\n');
    expect(continuation('python', '    if x:\n        return 1')).toBe('    if x:\n        return 1');
  });

  it('take the first fenced block of an answer', () => {
    expect(codeBlock('Sure:\n```js\nconst a = 1\n```\nDone. ```b```')).toBe('const a = 1\n');
    expect(codeBlock('```\ncut off')).toBe('cut off');
    expect(codeBlock('plain')).toBe('plain');
  });

  it('a silent JavaScript program passes, a Python program that ended well', () => {
    const run = { outcome: 'exited', exitCode: 0, stdout: '', stderr: '' } as const;
    expect(passes('javascript', run)).toBe(true);
    expect(passes('javascript', { ...run, stderr: 'Assertion failed\n' })).toBe(false);
    expect(passes('javascript', { ...run, stdout: 'debug' })).toBe(false);
    expect(passes('python', { ...run, stdout: 'debug' })).toBe(true);
    expect(passes('python', { ...run, exitCode: 1 })).toBe(false);
    expect(passes('python', { ...run, outcome: 'timeout' })).toBe(false);
  });
});
