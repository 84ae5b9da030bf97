import { describe, expect, it } from 'vitest';
import { readExamples } from '../dataset.ts';
import { json } from '../readers/json.ts';
import { jsonl } from '../readers/jsonl.ts';
import { schemas } from './registry.ts';
import { fillTemplate } from './template.ts';

function read(kind: string, row: object, given: object = {}) {
  const schema = schemas.get(kind)!;
  return schema.toExamples(row as Record<string, unknown>, schema.options.parse(given));
}

describe('questions with options', () => {
  const row = { question: ' 2 + 2? ', choices: ['3', '4', '5'], answer: 1 };

  it('list them by letter, in parentheses, or ask for their text', () => {
    expect(read('multiple-choice', row)).toEqual([
      {
        ...{ kind: 'completion', prompt: '2 + 2?\nA. 3\nB. 4\nC. 5\nAnswer:', completion: ' B' },
        meta: { options: [' A', ' B', ' C'], optionTexts: ['3', '4', '5'] },
      },
    ]);
    expect(read('multiple-choice', row, { style: 'parentheses' })).toMatchObject([
      { prompt: 'Q: 2 + 2?\n(A) 3 (B) 4 (C) 5\nA:', completion: ' (B)' },
    ]);
    expect(read('multiple-choice', row, { style: 'texts' })).toMatchObject([
      { prompt: '2 + 2?', completion: ' 4', meta: { options: [' 3', ' 4', ' 5'] } },
    ]);
    expect(read('multiple-choice', row, { chat: true })).toMatchObject([
      {
        kind: 'chat',
        messages: [{ content: '2 + 2?\nA. 3\nB. 4\nC. 5' }, { role: 'assistant', content: 'B' }],
      },
    ]);
  });

  it('name the right one by number, letter or text, the options in one column or several', () => {
    const columns = { question: '?', a: 'x', b: 'y' };
    const right = (answer: unknown) =>
      read('multiple-choice', { ...columns, answer }, { choices: ['a', 'b'] })[0];
    for (const answer of [1, '1', 'B', 'y']) expect(right(answer)).toMatchObject({ completion: ' B' });
    for (const answer of [2, 'C', 'z', -1]) expect(() => right(answer)).toThrow(/no option/);
    expect(() => read('multiple-choice', { ...row, choices: ['3'] })).toThrow(/fewer than two/);
  });
});

describe('preferences', () => {
  const dialogue = (answer: string) =>
    `\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: How?\n\nAssistant:${answer}`;

  it('are split where two dialogues part', () => {
    const row = { chosen: dialogue(' Like this.'), rejected: dialogue(' Like that.') };
    expect(read('preference', row)).toEqual([
      {
        ...{ kind: 'completion', prompt: dialogue(''), completion: ' Like this.' },
        meta: { options: [' Like this.', ' Like that.'] },
      },
    ]);
    expect(read('preference', row, { chat: true })).toEqual([
      {
        kind: 'chat',
        messages: [
          { role: 'user', content: 'Hi' },
          { role: 'assistant', content: 'Hello' },
          { role: 'user', content: 'How?' },
          { role: 'assistant', content: 'Like this.' },
        ],
        meta: { options: ['Like this.', 'Like that.'] },
      },
    ]);
  });

  it('have a prompt of their own where the data give one', () => {
    const row = { q: 'Why?', chosen: 'So.', rejected: 'No.' };
    expect(read('preference', row, { prompt: '{q}' })).toMatchObject([{ prompt: 'Why?', completion: 'So.' }]);
  });

  it('without two answers are refused, or dropped where asked to', () => {
    for (const [chosen, rejected] of [
      [dialogue(''), dialogue(' b')],
      [dialogue(' a'), dialogue(' a ')],
    ]) {
      expect(() => read('preference', { chosen, rejected })).toThrow(/answer.*incomplete: drop/);
      expect(read('preference', { chosen, rejected }, { incomplete: 'drop' })).toEqual([]);
    }
    expect(() => read('preference', { chosen: 'a', rejected: 'b' })).toThrow(/no beginning/);
  });
});

describe('programming problems', () => {
  const row = {
    prompt: 'def f():\n',
    canonical_solution: '    return 1\n',
    test: 'def check(g): assert g() == 1',
    entry: 'f',
  };

  it('carry what stands around the solution when it is run', () => {
    expect(read('code-problem', row, { entryPoint: 'entry' })).toEqual([
      {
        ...{ kind: 'completion', prompt: 'def f():\n', completion: '    return 1\n' },
        meta: { program: { before: 'def f():\n', after: '\ndef check(g): assert g() == 1\ncheck(f)\n' } },
      },
    ]);
    expect(read('code-problem', row, { before: '', chat: true })).toMatchObject([
      { kind: 'chat', meta: { program: { before: '' } } },
    ]);
  });
});

describe('rows with structure', () => {
  it('objects and lists in columns reach templates', () => {
    const row = { context: { contexts: ['a', 'b'], 'odd.name': 1 }, 'x.y': 'whole', n: 3 };
    expect(fillTemplate('{context.contexts}|{x.y}|{n}', row)).toBe('a\nb|whole|3');
    expect(() => fillTemplate('{n.m}', row)).toThrow(/"n" holds a number, an object was expected/);
    expect(() => fillTemplate('{context.contxts}', row)).toThrow(/did you mean "contexts"/);
    expect(() => fillTemplate('{context}', row)).toThrow(/an object, a text was expected/);
  });

  const source = (name: string, text: string) => ({
    name,
    async *chunks() {
      yield Buffer.from(text);
    },
  });
  const schema = schemas.get('prompt-completion')!;
  const options = schema.options.parse({ prompt: '{key}: {q}', completion: '{a}' });

  it('an object of objects is rows with their names, groups come from columns or files', async () => {
    const rows = { 7: { q: 'x', a: 'y' }, 8: { q: 'z', a: 'w' } };
    const files = [{ source: source('dev/anatomy_dev.json', JSON.stringify(rows)), reader: json }];
    const found = await readExamples(files, schema, options, { groupByFile: true });
    expect(found).toMatchObject([
      { prompt: '7: x', meta: { group: 'anatomy', where: 'dev/anatomy_dev.json[7]' } },
      { prompt: '8: z' },
    ]);
    const lines = [{ source: source('a.jsonl', '{"key":1,"q":"x","a":"y","s":"law"}\n'), reader: jsonl }];
    const [row] = await readExamples(lines, schema, options, { groupColumn: 's' });
    expect(row!.meta.group).toBe('law');
  });
});
