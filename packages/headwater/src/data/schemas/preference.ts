/** Two answers to one prompt, of which people chose one. The chosen one is what is learnt; both are the example's options. */

import { z } from 'zod';
import { commonPrefixLength } from '../tokenize-prefix.ts';
import { type DataSchema, type ExampleBody, RowProblem, textColumn } from './schema.ts';
import { fillTemplate } from './template.ts';

const options = z.strictObject({
  prompt: z
    .string()
    .optional()
    .describe(
      'Template over columns. Omitted: both columns hold whole dialogues with `Human:` and `Assistant:` (Anthropic’s HH-RLHF); the prompt is what both have in common.',
    ),
  chosen: z.string().default('chosen').describe('Column of the answer that people chose.'),
  rejected: z.string().default('rejected').describe('Column of the other one.'),
  incomplete: z
    .enum(['refuse', 'drop'])
    .default('refuse')
    .describe('What becomes of rows with an empty answer, or with the same one twice.'),
  chat: z.boolean().default(false).describe("Ask and answer in the model's own chat template."),
});

export const preference: DataSchema<z.infer<typeof options>> = {
  id: 'preference',
  summary: 'a prompt with a chosen and a rejected answer',
  options,
  examples: 'pairs',
  isChat: ({ chat }) => chat,
  toExamples(row, { prompt, chosen, rejected, incomplete, chat }) {
    const [better, worse] = [textColumn(row, chosen), textColumn(row, rejected)];
    const pair =
      prompt === undefined
        ? splitDialogues(better, worse)
        : { prompt: fillTemplate(prompt, row), better, worse };
    const problem = problemOf(pair);
    if (problem === undefined) return [asExample(pair, chat)];
    if (incomplete === 'drop') return [];
    throw new RowProblem(`${problem}; \`incomplete: drop\` leaves such rows out`);
  },
};

interface Pair {
  readonly prompt: string;
  readonly better: string;
  readonly worse: string;
}

const HUMAN = '\n\nHuman:';
const ASSISTANT = '\n\nAssistant:';

/** The prompt is what both have in common, up to the last time that the assistant is about to speak. */
function splitDialogues(better: string, worse: string): Pair {
  const common = better.slice(0, commonPrefixLength(better, worse));
  const at = common.lastIndexOf(ASSISTANT);
  if (at < 0) throw new RowProblem('the two dialogues have no beginning with "Assistant:" in common');
  const end = at + ASSISTANT.length;
  return { prompt: better.slice(0, end), better: better.slice(end), worse: worse.slice(end) };
}

function problemOf({ better, worse }: Pair): string | undefined {
  if (better.trim() === '' || worse.trim() === '') return 'an answer is empty';
  return better.trim() === worse.trim() ? 'the two answers are the same' : undefined;
}

function asExample({ prompt, better, worse }: Pair, chat: boolean): ExampleBody {
  if (!chat) return { kind: 'completion', prompt, completion: better, meta: { options: [better, worse] } };
  const [chosen, rejected] = [better.trim(), worse.trim()];
  const messages = [...turnsOf(prompt), { role: 'assistant', content: chosen }];
  return { kind: 'chat', messages, meta: { options: [chosen, rejected] } };
}

/** A dialogue as turns; any other text is one turn of the user. */
function turnsOf(prompt: string): { role: string; content: string }[] {
  if (!prompt.startsWith(HUMAN)) return [{ role: 'user', content: prompt }];
  const parts = prompt.split(/\n\n(Human|Assistant):/).slice(1);
  const turns = [];
  for (let i = 0; i + 1 < parts.length; i += 2)
    turns.push({ role: parts[i] === 'Human' ? 'user' : 'assistant', content: parts[i + 1]!.trim() });
  // The last one is the answer that is still to come.
  return turns.filter(({ content }) => content !== '');
}
