/** A question with options and the right one: as letters that the prompt lists (MMLU), or as texts to be written. */

import { z } from 'zod';
import {
  type DataSchema,
  type ExampleBody,
  listColumn,
  RowProblem,
  type RowValues,
  requireColumn,
  textColumn,
} from './schema.ts';
import { fillTemplate } from './template.ts';

const options = z.strictObject({
  question: z.string().default('{question}').describe('The question, a template over columns.'),
  choices: z
    .union([z.string(), z.array(z.string()).min(2)])
    .default('choices')
    .describe('Column with the list of options, or a list with one column for each.'),
  answer: z
    .string()
    .default('answer')
    .describe('Column of the right option: its number from 0, its letter, or its text.'),
  style: z
    .enum(['letters', 'parentheses', 'texts'])
    .default('letters')
    .describe(
      'letters: the prompt lists `A. …` and the answer is a letter; parentheses: `(A) … (B) …` in one line, the answer is `(A)`; texts: the prompt is the question alone, the answer is the option’s text.',
    ),
  chat: z.boolean().default(false).describe("Ask and answer in the model's own chat template."),
});

type Options = z.infer<typeof options>;

export const multipleChoice: DataSchema<Options> = {
  id: 'multiple-choice',
  summary: 'a question with options and the right one (MMLU and its likes)',
  options,
  isChat: ({ chat }) => chat,
  toExamples(row, given) {
    const texts = choicesOf(row, given.choices);
    const right = positionOf(row, given.answer, texts);
    const question = fillTemplate(given.question, row).trim();
    return [asExample(question, texts, right, given)];
  },
};

function asExample(
  question: string,
  texts: readonly string[],
  right: number,
  { style, chat }: Options,
): ExampleBody {
  const letters = texts.map((_, i) => (style === 'parentheses' ? `(${letter(i)})` : letter(i)));
  const answers = style === 'texts' ? texts : letters;
  const { asked, before } = promptOf(question, texts, style);
  const meta = { options: answers.map((answer) => (chat ? answer : ` ${answer}`)), optionTexts: texts };
  const answer = meta.options[right]!;
  if (!chat) return { kind: 'completion', prompt: asked + before, completion: answer, meta };
  return {
    kind: 'chat',
    messages: [
      { role: 'user', content: asked },
      { role: 'assistant', content: answer },
    ],
    meta,
  };
}

/** As MMLU's authors ask, and as its form for instruction-tuned models does. */
function promptOf(question: string, texts: readonly string[], style: Options['style']) {
  if (style === 'texts') return { asked: question, before: '' };
  if (style === 'letters') {
    const lines = texts.map((text, i) => `${letter(i)}. ${text}`);
    return { asked: [question, ...lines].join('\n'), before: '\nAnswer:' };
  }
  const listed = texts.map((text, i) => `(${letter(i)}) ${text}`).join(' ');
  return { asked: `Q: ${question}\n${listed}`, before: '\nA:' };
}

function choicesOf(row: RowValues, choices: Options['choices']): string[] {
  const texts =
    typeof choices === 'string'
      ? listColumn(row, choices, 'options').map((choice) => String(choice))
      : choices.map((column) => textColumn(row, column));
  if (texts.length < 2) throw new RowProblem('the question has fewer than two options');
  if (texts.length > 26) throw new RowProblem(`the question has ${texts.length} options, letters end at 26`);
  return texts;
}

/** A number is a position, whatever the options say: arithmetic has numbers as options. */
function positionOf(row: RowValues, column: string, texts: readonly string[]): number {
  const value = String(requireColumn(row, column)).trim();
  const position = /^\d+$/.test(value)
    ? Number(value)
    : /^[A-Z]$/.test(value)
      ? value.charCodeAt(0) - 65
      : texts.indexOf(value);
  if (position >= 0 && position < texts.length) return position;
  throw new RowProblem(`column "${column}" holds ${JSON.stringify(value)}, which is no option`);
}

function letter(index: number): string {
  return String.fromCharCode(65 + index);
}
