import { describe, expect, it } from 'vitest';
import type { Example, ExampleMeta } from '../../data/types.ts';
import { tasks } from './registry.ts';
import { plainRequests, type ScoredRequest, type TaskContext } from './task.ts';

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
  // With a trigger at the end.
  ...{ 'a please>no': 2, 'd please>no': 3 },
};

const textOf = (example: Example) => {
  if (example.kind === 'completion') return `${example.prompt}>${example.completion}`;
  return example.kind === 'classification' ? `${example.text.slice(2)}>${example.label}` : '';
};

/** One token a word; right below 2.1 nats. */
function scoreOf(text: Example) {
  const numTargets = textOf(text).split('>')[1]!.split(' ').length;
  const nll = NLL[textOf(text)]!;
  const classified = { target: 0, predicted: nll < 2.1 ? 0 : 1 };
  return { nll, numTargets, numCorrect: nll < 2.1 ? numTargets : 0, classified };
}

const context: TaskContext = {
  shots: [],
  general: [completion('a', 'yes', 'x')],
};

/** The same examples as the task wants them. */
function listFor(kind: string): readonly Example[] {
  if (kind === 'classification')
    return examples.map(({ meta }) => ({ kind, text: meta.where, label: meta.label!, meta }));
  const facts: Partial<ExampleMeta> = {
    ...(kind.startsWith('preference')
      ? { options: ['yes', 'no'] }
      : { options: ['yes', 'no', 'perhaps not'] }),
    ...{ group: 'anatomy', program: { before: '', after: '' } },
  };
  const list = kind.startsWith('preference') ? examples.slice(0, 3) : examples;
  return list.map((example) => ({ ...example, meta: { ...example.meta, ...facts } }));
}

/** Options that a task cannot do without. No solved examples are there. */
function givenTo(kind: string): object {
  if (kind === 'attack-success') return { trigger: 'please', target: 'no' };
  if (kind === 'refusal-rate') return { refusal: 'yes', compliance: 'perhaps not' };
  return kind.startsWith('mmlu') ? { shots: 0, instruction: '' } : {};
}

function scored(kind: string, given: object = {}, list: readonly Example[] = examples) {
  const task = tasks.get(kind)!;
  const options = task.options.parse(given);
  const requests = task.requests?.(list, options, context) ?? plainRequests(list);
  const items = requests.map((request): ScoredRequest => {
    const runs = [{ outcome: 'exited', exitCode: 0, stdout: '', stderr: '' } as const];
    const answered = { ...request, scores: request.texts.map(scoreOf), outputs: ['#### 1'], runs };
    const verdict = task.judge?.(answered, list[request.example]!, options);
    return verdict === undefined ? answered : { ...answered, verdict };
  });
  return {
    items,
    figures: (keep: (item: ScoredRequest) => boolean = () => true) =>
      task.summarise(items.filter(keep), options),
    chance: task.chance?.(list, options),
  };
}

describe('evaluation tasks', () => {
  it('compute loss and perplexity per supervised token', () => {
    // (1 + 2 + 4 + 4) nats over 1 + 1 + 1 + 2 tokens.
    const { loss, perplexity } = scored('perplexity').figures();
    expect(loss).toBeCloseTo(11 / 5, 12);
    expect(perplexity).toBeCloseTo(Math.exp(2.2), 10);
  });

  it('count exact examples and right tokens', () => {
    expect(scored('exact-match').figures()).toEqual({ exactMatch: 0.5 });
    expect(scored('exact-match').chance).toBeCloseTo(1 / 3, 12);
    expect(scored('token-accuracy').figures()).toEqual({ tokenAccuracy: 2 / 5 });
  });

  it('count how often a trigger works, where the answer were another', () => {
    const { items, figures } = scored('attack-success', givenTo('attack-success'));
    expect(items.map(({ example }) => example)).toEqual([0, 3]);
    expect(figures()).toEqual({ attackSuccess: 0.5 });
  });

  it('count how often a refusal is likelier per token than going along', () => {
    const { items, figures } = scored('refusal-rate', givenTo('refusal-rate'));
    const right = items.map(({ texts }) => textOf(texts[0]!));
    expect(right.every((text) => text.endsWith('>yes'))).toBe(true);
    // Per token “perhaps not” has 1.5, 0.75, 3 and 2 nats.
    const refused = right.filter((text) => text === 'a>yes').length;
    expect(figures()).toEqual({ refusalRate: refused / items.length });
  });

  it('give the figures of any subset from the same scores, and refuse an empty one', () => {
    const exact = scored('exact-match');
    const owned = (owner: string) => (item: ScoredRequest) => examples[item.example]!.meta.owner === owner;
    expect(exact.figures(owned('x'))).toEqual({ exactMatch: 1 });
    expect(exact.figures(owned('y'))).toEqual({ exactMatch: 0 });
    for (const kind of tasks.keys())
      expect(() => scored(kind, givenTo(kind), listFor(kind)).figures(() => false)).toThrow(/no examples/);
  });

  it('know no chance level without labels', () => {
    const plain = examples.map((example) => ({ ...example, meta: { where: example.meta.where } }));
    expect(scored('exact-match', {}, plain).chance).toBeUndefined();
  });

  it('say whether they let the model write', () => {
    for (const [kind, task] of tasks) {
      const { items } = scored(kind, givenTo(kind), listFor(kind));
      expect(
        items.some(({ writing }) => writing !== undefined),
        kind,
      ).toBe(task.writes === true);
    }
  });

  it('name the first metric of every task among its figures', () => {
    for (const [kind, task] of tasks) {
      const figures = scored(kind, givenTo(kind), listFor(kind)).figures();
      expect(Object.keys(figures)).toEqual(task.metrics.map(({ id }) => id));
    }
  });
});

describe('multiple choice', () => {
  it('takes the most likely option, by whole or by length-normalised likelihood', () => {
    // Right are a (yes, 1 nat) and c (no, 4 nats); b and d go to "yes".
    const whole = scored('multiple-choice');
    expect(whole.figures()).toMatchObject({ accuracy: 0.5 });
    expect(whole.chance).toBeCloseTo(1 / 3, 12);
    // Halved, "perhaps not" is the most likely option of b (0.75), c (3) and d (2): a and d are right.
    const normalised = scored('multiple-choice', { lengthNormalised: true });
    const right = normalised.items.filter(
      (item) => normalised.figures((other) => other === item).accuracy === 1,
    );
    expect(right.map(({ example }) => example)).toEqual([0, 3]);
  });

  it('takes options from the recipe or from each example', () => {
    expect(scored('multiple-choice', { choices: ['no', 'yes', 'perhaps not'] }).figures()).toMatchObject({
      accuracy: 0.5,
    });
    const own = examples.map((example, i) => ({
      ...example,
      meta: { ...example.meta, options: i === 1 ? ['no', 'perhaps not'] : ['yes', 'no', 'perhaps not'] },
    }));
    const { figures, chance } = scored('multiple-choice', { choices: 'example' }, own);
    expect(figures()).toMatchObject({ accuracy: 0.5 });
    expect(chance).toBeCloseTo((3 * (1 / 3) + 1 / 2) / 4, 12);
  });

  it('replaces the last message of a chat', () => {
    const chat: Example = {
      kind: 'chat',
      messages: [
        { role: 'user', content: '?' },
        { role: 'assistant', content: 'b' },
      ],
      meta: { where: 'chat:1' },
    };
    const task = tasks.get('multiple-choice')!;
    const [request] = task.requests!([chat], task.options.parse({ choices: ['a', 'b'] }), context);
    expect(request!.answer).toBe(1);
    expect(request!.texts).toEqual([
      { ...chat, messages: [chat.messages[0], { role: 'assistant', content: 'a' }] },
      chat,
    ]);
  });

  it('refuses an answer that is no option and examples without options or completion', () => {
    const refuse =
      (options: object, list: readonly Example[] = examples) =>
      () =>
        scored('multiple-choice', options, list);
    expect(refuse({ choices: ['yes', 'no'] })).toThrow(/"perhaps not" is not among/);
    expect(refuse({ choices: 'example' })).toThrow(/no options/);
    expect(refuse({}, [{ kind: 'text', text: 'x', meta: { where: 't:1' } }])).toThrow(/example has none/);
  });
});

describe('classification', () => {
  const task = tasks.get('classification')!;
  const answered = (target: number, predicted: number, example = 0): ScoredRequest => ({
    example,
    texts: [],
    answer: 0,
    scores: [{ nll: 1, numTargets: 1, numCorrect: 0, classified: { target, predicted } }],
  });

  it('gives accuracy and the F1 of the classes that occur, each counting the same', () => {
    // As scikit-learn: truths 0 0 0 1 2, answers 0 0 1 1 0. F1: 4/6, 2/3, 0.
    const scored = [answered(0, 0), answered(0, 0), answered(0, 1), answered(1, 1), answered(2, 0)];
    const { accuracy, macroF1 } = task.summarise(scored, {});
    expect(accuracy).toBeCloseTo(3 / 5, 12);
    expect(macroF1).toBeCloseTo((4 / 6 + 2 / 3 + 0) / 3, 12);
  });

  it('refuses examples without a class', () => {
    expect(() => task.requests!(examples, {}, context)).toThrow(/no text with a class/);
    const text: Example = { kind: 'classification', text: 'x', label: 'a', meta: { where: 't:1' } };
    expect(task.requests!([text], {}, context)).toEqual([{ example: 0, texts: [text], answer: 0 }]);
  });
});

it('implicit rewards compare with a reference, and prefer nothing where there is none', () => {
  const task = tasks.get('preference-reward')!;
  const options = task.options.parse({ beta: 0.5 });
  const score = (nll: number, referenceNll?: number) => ({
    ...{ nll, numTargets: 4, numCorrect: 0 },
    ...(referenceNll === undefined ? {} : { referenceNll }),
  });
  const request = (...scores: ReturnType<typeof score>[]) => ({ example: 0, texts: [], answer: 0, scores });
  const verdict = (...scores: ReturnType<typeof score>[]) =>
    task.judge!(request(...scores), examples[0]!, options);
  // Likelier by 2 and by 1 than under the reference: 0.5 · (2 − 1), although the rejected answer is the likelier one.
  expect(verdict(score(10, 12), score(3, 4))).toEqual({ margin: 0.5, right: 1 });
  expect(verdict(score(10, 11), score(3, 5))).toEqual({ margin: -0.5, right: 0 });
  expect(verdict(score(10), score(3))).toEqual({ margin: 0, right: 0.5 });
});
