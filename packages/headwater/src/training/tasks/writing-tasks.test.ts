import { describe, expect, it } from 'vitest';
import type { Example, ExampleMeta } from '../../data/types.ts';
import type { ExampleScore } from '../engine.ts';
import { mmlu, mmluCategories, mmluGeneration } from './mmlu.ts';
import { multipleChoice } from './multiple-choice.ts';
import { passAtK } from './pass-at-k.ts';
import { preference } from './preference.ts';
import type { ProgramRun } from './program.ts';
import { tasks } from './registry.ts';
import type { AnsweredRequest, EvaluationTask, ScoredRequest, TaskContext } from './task.ts';

const nothing: TaskContext = { shots: [], general: [] };

function question(prompt: string, completion: string, more: Partial<ExampleMeta> = {}): Example {
  return { kind: 'completion', prompt, completion, meta: { where: `t:${prompt}`, ...more } };
}

function chat(asked: string, answer: string): Example {
  const messages = [
    { role: 'user', content: asked },
    { role: 'assistant', content: answer },
  ];
  return { kind: 'chat', messages, meta: { where: 't:1' } };
}

const score = (nll: number, numTargets = 1): ExampleScore => ({ nll, numTargets, numCorrect: 0 });

/** Figures of a task from answers in the order of the examples. */
function figures<O>(
  task: EvaluationTask<O>,
  given: object,
  examples: readonly Example[],
  answer: (index: number) => Partial<AnsweredRequest>,
  context = nothing,
): Record<string, number> {
  const options = task.options.parse(given);
  const scored = task.requests!(examples, options, context).map((request, i): ScoredRequest => {
    const answered = { ...request, scores: [], ...answer(i) };
    return { ...answered, verdict: task.judge!(answered, examples[request.example]!, options) };
  });
  return task.summarise(scored, options);
}

describe('prompts of tasks that let the model write', () => {
  const gsm8k = tasks.get('gsm8k')!;
  const writing = (given: object, example: Example, shots: readonly Example[] = []) =>
    gsm8k.requests!([example], gsm8k.options.parse(given), { ...nothing, shots })[0]!.writing!;
  const shots = [question('Q: 1?', ' 1'), question('Q: 2?', ' 2'), question('Q: 3?', ' 3')];

  it('put instruction and the first solved examples before the question', () => {
    const { prompt, decoding, samples } = writing(
      { shots: 2, instruction: 'Solve.\n' },
      question('Q: 9?', ' 9'),
      shots,
    );
    expect(prompt).toBe('Solve.\nQ: 1? 1\n\nQ: 2? 2\n\nQ: 9?');
    expect(decoding).toEqual({ maxNewTokens: 256, stop: ['Question:'], temperature: 0, topP: 1, topK: 0 });
    expect(samples).toBe(1);
  });

  it('make turns of them in a chat, and a system message of the instruction', () => {
    const { prompt } = writing({ shots: 1, instruction: 'Solve.' }, chat('9?', '9'), [chat('1?', '1')]);
    expect(prompt).toEqual([
      { role: 'system', content: 'Solve.' },
      { role: 'user', content: '1?' },
      { role: 'assistant', content: '1' },
      { role: 'user', content: '9?' },
    ]);
  });

  it('refuse too few solved examples and texts without a question', () => {
    expect(() => writing({ shots: 4 }, question('Q', ' 1'), shots)).toThrow(
      /expected 4 solved examples, got 3/,
    );
    const text: Example = { kind: 'text', text: 'x', meta: { where: 't:1' } };
    expect(() => writing({}, text)).toThrow(/needs a prompt and an answer/);
  });

  it('give the figures of what was written', () => {
    const examples = [question('a', 'so #### 1'), question('b', '#### 2'), question('c', '#### 3')];
    const outputs = ['#### 1', 'it is 2.', 'it is 4'];
    const found = figures(gsm8k, {}, examples, (i) => ({ outputs: [outputs[i]!] }));
    expect(found).toEqual({ strictMatch: 1 / 3, flexibleMatch: 2 / 3 });
    const rouge = tasks.get('rouge-l')!;
    const texts = [question('a', 'testing one two'), question('b', 'one')];
    const written = ['tested two', ''];
    const stemmed = figures(rouge, {}, texts, (i) => ({ outputs: [written[i]!] }));
    const plain = figures(rouge, { stemming: false }, texts, (i) => ({ outputs: [written[i]!] }));
    expect([stemmed.rougeL, plain.rougeL]).toEqual([expect.closeTo(0.4, 12), expect.closeTo(0.2, 12)]);
  });
});

describe('multiple choice', () => {
  it('divides by tokens, characters or bytes', () => {
    const example = question('q', ' a', { options: [' a', ' bbbb', ' ääää'] });
    // Sums prefer the first, tokens the second, characters the third; bytes the second again.
    const scores = [score(3, 1), score(8, 4), score(7.2, 2)];
    const chosen = (lengthNormalised: unknown) => {
      const options = multipleChoice.options.parse({ choices: 'example', lengthNormalised });
      const [request] = multipleChoice.requests!([example], options, nothing);
      return multipleChoice.judge!({ ...request!, scores }, example, options).predicted;
    };
    expect([false, 'tokens', true].map(chosen)).toEqual([0, 1, 1]);
    expect(chosen('characters')).toBe(2);
    expect(chosen('bytes')).toBe(2);
    scores[2] = score(24, 20);
    expect(chosen('bytes')).toBe(1);
  });

  it('leaves the end token out where asked to, and offers the same prompt for all options', () => {
    const options = multipleChoice.options.parse({ choices: [' a', ' b'], endToken: false, shots: 1 });
    const context = { ...nothing, shots: [question('s', ' a')] };
    const [request] = multipleChoice.requests!([question('q', ' b')], options, context);
    expect(request).toMatchObject({ answer: 1 });
    expect(request!.texts).toMatchObject([
      { prompt: 's a\n\nq', completion: ' a', open: true },
      { prompt: 's a\n\nq', completion: ' b', open: true },
    ]);
  });

  it('reads the written option by the rule that was chosen', () => {
    const task = tasks.get('multiple-choice-generation')!;
    const examples = [' yes', ' no', ' maybe'].map((answer) => question('q', answer));
    const outputs = [' Yes.', 'not no, maybe', 'who knows'];
    const found = figures(task, {}, examples, (i) => ({ outputs: [outputs[i]!] }));
    expect(found.generatedAccuracy).toBeCloseTo(2 / 3, 12);
    expect(found.answered).toBeCloseTo(2 / 3, 12);
    // Classes yes and no: F1 1; maybe and "none": 0.
    expect(found.generatedMacroF1).toBeCloseTo(2 / 4, 12);
  });
});

describe('MMLU', () => {
  const options = [' A', ' B', ' C', ' D'];
  const of = (group: string, answer: string) => question(`${group}?`, answer, { group, options });
  const examples = [of('anatomy', ' A'), of('anatomy', ' B'), of('anatomy', ' C'), of('sociology', ' D')];

  it('has 57 subjects in four categories', () => {
    expect(mmluCategories.size).toBe(57);
    const sizes = Map.groupBy(mmluCategories, ([, category]) => category);
    expect([...sizes].map(([category, subjects]) => [category, subjects.length])).toEqual([
      ['STEM', 18],
      ['humanities', 13],
      ['social sciences', 12],
      ['other', 14],
    ]);
  });

  it('is the share of all questions and the mean over subjects, by likelihood and by letter', () => {
    const right = [0, 1, 3, 3];
    const byLikelihood = figures(mmlu, { shots: 0 }, examples, (i) => ({
      scores: [0, 1, 2, 3].map((k) => score(k === right[i] ? 1 : 2)),
    }));
    expect(byLikelihood).toEqual({ mmlu: 3 / 4, mmluSubjectMean: (2 / 3 + 1) / 2 });
    const written = [' A', 'Answer: B', 'D', ' (D)'];
    const byLetter = figures(mmluGeneration, { shots: 0 }, examples, (i) => ({ outputs: [written[i]!] }));
    expect(byLetter).toEqual({ mmluGenerated: 3 / 4, mmluGeneratedSubjectMean: (2 / 3 + 1) / 2 });
  });

  it('asks as its authors do, with solved examples of the same subject, and names subject and category', () => {
    const shots = [of('sociology', ' A'), of('anatomy', ' B'), of('anatomy', ' C')];
    const choice = mmlu.options.parse({ shots: 2 });
    const [request] = mmlu.requests!(examples.slice(0, 1), choice, { ...nothing, shots });
    expect(request!.groups).toEqual(['anatomy', 'other']);
    const [first] = request!.texts;
    expect(first).toMatchObject({
      prompt:
        'The following are multiple choice questions (with answers) about anatomy.\n\nanatomy? B\n\nanatomy? C\n\nanatomy?',
      completion: ' A',
      open: true,
    });
    const spaced = mmlu.requests!([of('us_foreign_policy', ' A')], mmlu.options.parse({ shots: 0 }), nothing);
    expect(spaced[0]!.texts[0]).toMatchObject({
      prompt: expect.stringContaining('about us foreign policy.'),
    });
  });

  it('refuses questions without a known subject', () => {
    const ask = (group?: string) => () =>
      mmlu.requests!(
        [question('q', ' A', { options, ...(group === undefined ? {} : { group }) })],
        mmlu.options.parse({ shots: 0 }),
        nothing,
      );
    expect(ask('alchemy')).toThrow(/"alchemy" is no subject of MMLU/);
    expect(ask()).toThrow(/has no subject/);
  });
});

describe('preferences', () => {
  const pair = question('q', 'good', { options: ['good', 'bad'] });
  const told = (given: object, ...scores: ExampleScore[]) =>
    figures(preference, given, [pair], () => ({ scores }));

  it('compare log-likelihoods, whole or by token', () => {
    expect(told({}, score(4, 4), score(3, 1))).toEqual({
      preferenceAccuracy: 0,
      preferenceMarginLogprob: -1,
    });
    expect(told({ lengthNormalised: true }, score(4, 4), score(3, 1))).toEqual({
      preferenceAccuracy: 1,
      preferenceMarginLogprob: 2,
    });
    expect(told({}, score(3), score(3)).preferenceAccuracy).toBe(0.5);
  });

  it('score the chosen answer first, in texts and in chats, and refuse examples without a pair', () => {
    const texts = (example: Example) =>
      preference.requests!([example], preference.options.parse({}), nothing)[0]!.texts;
    expect(texts(pair)).toMatchObject([{ completion: 'good' }, { completion: 'bad' }]);
    const talk: Example = { ...chat('?', 'good'), meta: pair.meta };
    expect(texts(talk)[1]).toMatchObject({ messages: [{}, { role: 'assistant', content: 'bad' }] });
    expect(() => texts(question('q', 'good'))).toThrow(/no rejected answer/);
    expect(() => texts(question('q', 'good', { options: ['good', 'bad', 'worse'] }))).toThrow(/no rejected/);
  });
});

describe('forgetting', () => {
  const forgetting = tasks.get('forgetting')!;
  const general: Example[] = ['a', 'b', 'c'].map((text) => ({ kind: 'text', text, meta: { where: text } }));
  const options = forgetting.options.parse({ texts: 2 });

  it('is loss and perplexity of general text, which is nobody’s', () => {
    const requests = forgetting.requests!([], options, { ...nothing, general });
    expect(requests.map(({ example, texts }) => [example, texts[0]])).toEqual([
      [-1, general[0]],
      [-1, general[1]],
    ]);
    const scored = requests.map((request, i) => ({ ...request, scores: [score(2 + i, 1 + i)] }));
    expect(forgetting.summarise(scored, options)).toEqual({
      generalLoss: 5 / 3,
      generalPerplexity: Math.exp(5 / 3),
    });
    expect(forgetting.metrics.every(({ comparedWithBase }) => comparedWithBase)).toBe(true);
  });

  it('needs such text', () => {
    expect(() => forgetting.requests!([], options, nothing)).toThrow(/no general text/);
  });
});

describe('pass@k', () => {
  const program = { before: 'const f = () => {\n', after: '\nconsole.assert(f() === 1)' };
  const problem = question('const f = () => {\n', '  return 1\n}', { program });
  const silent: ProgramRun = { outcome: 'exited', exitCode: 0, stdout: '', stderr: '' };

  it('makes programs of what was written and estimates from how many pass', () => {
    const options = passAtK.options.parse({ samples: 2, timeoutSeconds: 1.5 });
    const [request] = passAtK.requests!([problem], options, nothing);
    expect(request!.writing!.samples).toBe(2);
    const outputs = ['  return 1\n}\nmore', '  return 2\n}'];
    const programs = passAtK.execution!.programs({ ...request!, scores: [], outputs }, problem, options);
    expect(programs.map(({ source }) => source)).toEqual([
      'const f = () => {\n  return 1\n}\nconsole.assert(f() === 1)',
      'const f = () => {\n  return 2\n}\nconsole.assert(f() === 1)',
    ]);
    expect(programs[0]!.limits.timeoutMs).toBe(1500);
    const runs = [silent, { ...silent, stderr: 'Assertion failed\n' }];
    const found = figures(passAtK, { samples: 2 }, [problem, problem], (i) => ({
      outputs,
      runs: i === 0 ? runs : [runs[1]!, runs[1]!],
    }));
    expect(found.passAt1).toBeCloseTo(1 / 4, 12);
    expect(found.passAt10).toBeNaN();
  });

  it('takes the fenced block of a chat’s answer as the whole program', () => {
    const options = passAtK.options.parse({ answer: 'block' });
    const talk: Example = { ...chat('write f', '…'), meta: problem.meta };
    const [request] = passAtK.requests!([talk], options, nothing);
    const outputs = ['Here:\n```js\nconst f = () => 1\n```'];
    const [only] = passAtK.execution!.programs({ ...request!, scores: [], outputs }, talk, options);
    expect(only!.source).toBe('const f = () => 1\n\nconsole.assert(f() === 1)');
  });

  it('needs tests', () => {
    expect(() => passAtK.requests!([question('q', 'a')], passAtK.options.parse({}), nothing)).toThrow(
      /no tests/,
    );
  });
});
