import { expect, it } from 'vitest';
import { parseMapping } from './mapping.ts';

it.each([
  [['prompt=question,completion=answer'], { prompt: 'question', completion: 'answer' }],
  [['prompt=question', 'completion=answer'], { prompt: 'question', completion: 'answer' }],
  [['prompt={title}, {body}: a=b'], { prompt: '{title}, {body}: a=b' }],
  [['prompt={a}, {b},answer=c d'], { prompt: '{a}, {b}', answer: 'c d' }],
  [[' my column = your column '], { 'my column': 'your column' }],
  [[], {}],
])('%j', (texts, expected) => {
  expect(Object.fromEntries(parseMapping(texts))).toEqual(expected);
});

it.each(['prompt', '=question', 'prompt=', 'a=b,a=c'])('%s is a mistake', (text) => {
  expect(() => parseMapping([text])).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }));
});
