import { describe, expect, it } from 'vitest';
import type { Example, TokenizedExample } from '../data/types.ts';
import type { ExampleScore } from './engine.ts';
import { bindTasks, evaluateTasks, resultOn } from './evaluate.ts';
import { tasks } from './tasks/registry.ts';

const completion = (prompt: string, answer: string, owner: string): Example => ({
  ...{ kind: 'completion', prompt, completion: answer },
  meta: { where: `t:${prompt}`, owner, label: answer },
});

const examples = [
  completion('a', 'yes', 'x'),
  completion('b', 'no', 'x'),
  completion('c', 'no', 'y'),
  completion('d', 'perhaps not', 'y'),
];

/** A model of texts: −log p by prompt and completion, one token a word. */
const NLL: Record<string, number> = {
  ...{ 'a>yes': 1, 'a>no': 2, 'a>perhaps not': 3 },
  ...{ 'b>yes': 1, 'b>no': 2, 'b>perhaps not': 1.5 },
  ...{ 'c>yes': 5, 'c>no': 4, 'c>perhaps not': 6 },
  ...{ 'd>yes': 2.5, 'd>no': 3, 'd>perhaps not': 4 },
};

const textOf = (example: Example) =>
  example.kind === 'completion' ? `${example.prompt}>${example.completion}` : '';

function tools(dropped: readonly string[] = []) {
  const asked: string[] = [];
  const scoresOf = new Map<TokenizedExample, ExampleScore>();
  return {
    asked,
    tokenize: (texts: readonly Example[]) => {
      const source = texts.flatMap((text, i) => (dropped.includes(textOf(text)) ? [] : [i]));
      const tokenized = source.map((i) => {
        const text = textOf(texts[i]!);
        asked.push(text);
        const numTargets = text.split('>')[1]!.split(' ').length;
        const token = { tokens: new Int32Array(), supervised: new Uint8Array(), numTargets };
        scoresOf.set(token, { nll: NLL[text]!, numTargets, numCorrect: NLL[text]! < 2.1 ? numTargets : 0 });
        return token;
      });
      return { tokenized, source };
    },
    score: async (tokenized: readonly TokenizedExample[]) => tokenized.map((token) => scoresOf.get(token)!),
  };
}

const bound = (kinds: { kind: string }[]) => bindTasks(kinds, tasks);

describe('evaluation tasks', () => {
  it('compute loss, perplexity, exact match and token accuracy from one scoring pass', async () => {
    const given = tools();
    const all = await evaluateTasks(
      examples,
      bound([{ kind: 'perplexity' }, { kind: 'exact-match' }, { kind: 'token-accuracy' }]),
      given,
    );
    const [perplexity, exact, accuracy] = all.map(({ result }) => result);
    expect(given.asked).toEqual(examples.map(textOf));
    // (1 + 2 + 4 + 4) nats over 1 + 1 + 1 + 2 tokens.
    expect(perplexity!.metrics.loss).toBeCloseTo(11 / 5, 12);
    expect(perplexity!.metrics.perplexity).toBeCloseTo(Math.exp(2.2), 10);
    expect(exact).toMatchObject({
      metrics: { exactMatch: 0.5 },
      numExamples: 4,
      numSkipped: 0,
      numTargets: 5,
      chance: 1 / 3,
    });
    expect(accuracy!.metrics.tokenAccuracy).toBeCloseTo(2 / 5, 12);
  });

  it('give the figures of any subset from the same scores', async () => {
    const [exact] = await evaluateTasks(examples, bound([{ kind: 'exact-match' }]), tools());
    expect(resultOn(exact!, (i) => examples[i]!.meta.owner === 'x')).toMatchObject({
      metrics: { exactMatch: 1 },
      numExamples: 2,
      chance: 0.5,
    });
    expect(resultOn(exact!, (i) => examples[i]!.meta.owner === 'y')).toMatchObject({
      metrics: { exactMatch: 0 },
      numExamples: 2,
    });
    expect(() => resultOn(exact!, () => false)).toThrow(/no examples/);
  });

  it('choose the most likely option, by whole or by length-normalised likelihood', async () => {
    const choose = async (options: object) => {
      const [task] = await evaluateTasks(examples, bound([{ kind: 'multiple-choice', ...options }]), tools());
      return task!.result;
    };
    // Whole: a right, b wrong (yes), c right, d wrong (yes). Normalised: "perhaps not" counts half: a, c, d right? c: 3 < 4.
    expect(await choose({})).toMatchObject({ metrics: { accuracy: 0.5 }, chance: 1 / 3, numTargets: 5 });
    expect(await choose({ lengthNormalised: true })).toMatchObject({ metrics: { accuracy: 0.5 } });
    expect(await choose({ choices: ['no', 'yes', 'perhaps not'] })).toMatchObject({
      metrics: { accuracy: 0.5 },
    });
    await expect(choose({ choices: ['yes', 'no'] })).rejects.toMatchObject({
      code: 'DATA_INVALID',
      where: 't:d',
    });
    await expect(choose({ choices: 'example' })).rejects.toMatchObject({ code: 'DATA_INVALID' });
  });

  it('take each example’s own options', async () => {
    const own = examples.map((example, i) => ({
      ...example,
      meta: { ...example.meta, options: i === 1 ? ['no', 'perhaps not'] : ['yes', 'no', 'perhaps not'] },
    }));
    const [task] = await evaluateTasks(
      own,
      bound([{ kind: 'multiple-choice', choices: 'example' } as { kind: string }]),
      tools(),
    );
    expect(task!.result.metrics.accuracy).toBe(0.5);
    expect(task!.result.chance).toBeCloseTo((3 * (1 / 3) + 1 / 2) / 4, 12);
  });

  it('leave out and count examples that have no score, and refuse to report on none', async () => {
    const [exact] = await evaluateTasks(examples, bound([{ kind: 'exact-match' }]), tools(['c>no']));
    expect(exact!.result).toMatchObject({ numExamples: 3, numSkipped: 1, metrics: { exactMatch: 2 / 3 } });
    await expect(evaluateTasks([], bound([{ kind: 'perplexity' }]), tools())).rejects.toMatchObject({
      code: 'DATA_INVALID',
    });
  });

  it('refuse unknown tasks and options', () => {
    expect(() => bound([{ kind: 'exact_match' }])).toThrow(/unknown evaluation task/);
    expect(() => bound([{ kind: 'perplexity', base: 2 } as { kind: string }])).toThrow(/perplexity/);
  });
});
