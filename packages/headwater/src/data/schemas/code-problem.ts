/** A programming problem with tests: HumanEval, HumanEval-X and their likes. */

import { z } from 'zod';
import { type DataSchema, RowProblem, textColumn } from './schema.ts';
import { fillTemplate } from './template.ts';

const options = z.strictObject({
  prompt: z
    .string()
    .default('{prompt}')
    .describe('What the model is asked: the beginning of the program, or words.'),
  solution: z.string().default('{canonical_solution}').describe('What it shall write.'),
  before: z
    .string()
    .default('{prompt}')
    .describe('What stands before the solution when it is run: the beginning of the program, imports.'),
  tests: z
    .string()
    .default('{test}')
    .describe('What stands behind it; the program is right when this finds no fault.'),
  entryPoint: z
    .string()
    .optional()
    .describe(
      'Column of the function’s name, where the tests are a `check(function)` of Python (HumanEval).',
    ),
  chat: z.boolean().default(false).describe("Ask and answer in the model's own chat template."),
});

export const codeProblem: DataSchema<z.infer<typeof options>> = {
  id: 'code-problem',
  summary: 'a programming problem with a solution and tests (HumanEval, HumanEval-X)',
  options,
  isChat: ({ chat }) => chat,
  toExamples(row, { prompt, solution, before, tests, entryPoint, chat }) {
    const [question, answer] = [fillTemplate(prompt, row), fillTemplate(solution, row)];
    if (answer.trim() === '') throw new RowProblem('the solution is empty, there is nothing to learn');
    const call = entryPoint === undefined ? '' : `\ncheck(${textColumn(row, entryPoint)})`;
    const after = `\n${fillTemplate(tests, row)}${call}\n`;
    const meta = { program: { before: fillTemplate(before, row), after } };
    if (!chat) return [{ kind: 'completion', prompt: question, completion: answer, meta }];
    const messages = [
      { role: 'user', content: question },
      { role: 'assistant', content: answer },
    ];
    return [{ kind: 'chat', messages, meta }];
  },
};
