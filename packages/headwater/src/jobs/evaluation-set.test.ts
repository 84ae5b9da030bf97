import { describe, expect, it } from 'vitest';
import { fakeCodec, textExample } from '../../test/support/fake-run.ts';
import { exactMatch } from '../training/tasks/exact-match.ts';
import { multipleChoice } from '../training/tasks/multiple-choice.ts';
import { perplexity } from '../training/tasks/perplexity.ts';
import type { EvaluationTask } from '../training/tasks/task.ts';
import { type SetAnswers, summarise } from './evaluation-figures.ts';
import { chanceLevels, prepareEvaluation } from './evaluation-set.ts';
import type { TaskChoice } from './task-choice.ts';

const choice = (task: unknown, options: unknown = {}): TaskChoice => ({
  task: task as EvaluationTask<unknown>,
  options,
});
const exact = choice(exactMatch);
const scored = (scores: SetAnswers['scores']): SetAnswers => ({ scores, outputs: [], runs: new Map() });

describe('evaluation set', () => {
  const examples = [
    textExample('abc', 'ann', 'x'),
    textExample('abcdefgh', 'ben', 'y'),
    textExample('q', 'ben', 'z'),
  ];
  const set = prepareEvaluation(examples, [exact], { codec: fakeCodec, maxLength: 4 });

  it('leaves out and counts examples without a target, and cuts long texts into pieces', () => {
    expect(set.leftOut).toBe(1);
    expect(set.examples.map(({ meta }) => meta.owner)).toEqual(['ann', 'ben']);
    expect(set.pieceText).toEqual([0, 1, 1, 1]);
    expect(set.pieceOwner).toEqual(['ann', 'ben', 'ben', 'ben']);
  });

  it('always has the loss, adds pieces up, and gives pooled and own figures', () => {
    const right = { nll: 1, numTargets: 2, numCorrect: 2 };
    const wrong = { nll: 9, numTargets: 1, numCorrect: 0 };
    const result = summarise(set, scored([right, right, right, wrong]));
    expect(result.numExamples).toBe(2);
    expect(result.pooled).toMatchObject({ loss: 12 / 7, exactMatch: 0.5 });
    expect(result.owners.ann).toMatchObject({ numExamples: 1, scores: { loss: 0.5, exactMatch: 1 } });
    // One wrong piece makes the whole text wrong.
    expect(result.owners.ben).toMatchObject({ numExamples: 1, scores: { loss: 11 / 5, exactMatch: 0 } });
  });

  it('figures that are no numbers become null', () => {
    const infinite = { nll: Number.POSITIVE_INFINITY, numTargets: 2, numCorrect: 0 };
    const result = summarise(set, scored([infinite, infinite, infinite, infinite]));
    expect(result.pooled).toMatchObject({ loss: null, perplexity: null, exactMatch: 0 });
  });

  it('a text that several tasks ask for is scored once', () => {
    expect(
      prepareEvaluation(examples, [choice(perplexity), exact], { codec: fakeCodec, maxLength: 4 }).pieces,
    ).toHaveLength(4);
  });

  it('tasks with several texts an example keep the owner of each text', () => {
    const rows = ['yes', 'no'].map((completion, i) => ({
      kind: 'completion' as const,
      prompt: 'is it? ',
      completion,
      meta: { where: `t:${i}`, owner: `o${i}` },
    }));
    const options = multipleChoice.options.parse({ choices: 'labels' });
    const several = prepareEvaluation(rows, [choice(multipleChoice, options)], {
      codec: fakeCodec,
      maxLength: 32,
    });
    const byOwner = (owner: string) => several.pieceOwner.filter((o) => o === owner).length;
    // The plain text for the loss, and two options.
    expect([byOwner('o0'), byOwner('o1')]).toEqual([3, 3]);
    // The first option (of no, yes) is always the likelier one.
    const scores = several.pieces.map((_, i) => ({ nll: i % 2, numTargets: 1, numCorrect: 0 }));
    expect(Object.keys(summarise(several, scored(scores)).pooled)).toEqual([
      'loss',
      'perplexity',
      'accuracy',
      'macroF1',
    ]);
  });

  it('two tasks that report the same metric are a mistake of the recipe', () => {
    expect(() => prepareEvaluation(examples, [exact, exact], { codec: fakeCodec, maxLength: 4 })).toThrow(
      /both report the metric "exactMatch"/,
    );
  });

  it('chance comes from the labels of all test rows, not of a sample', () => {
    expect(chanceLevels([exact], examples)).toEqual({ exactMatch: 1 / 3 });
    expect(chanceLevels([exact], [textExample('abc', 'ann')])).toEqual({});
  });
});
