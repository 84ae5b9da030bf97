/**
 * Which of several options the model writes. How the option is found in the text is part of the options: the rules of
 * lm-evaluation-harness for letters, whole words for others (`scorers/choice.ts`).
 */

import { z } from 'zod';
import type { Example } from '../../data/types.ts';
import { chanceOf, choicesOption, chosen, offeredTo, positionOfAnswer } from './choices.ts';
import { decodingOptions, promptingOptions, writingOf } from './prompting.ts';
import { firstWords, letterInParentheses, letterOnFirstLine } from './scorers/choice.ts';
import { macroF1 } from './scorers/macro-f1.ts';
import { type EvaluationTask, meanVerdict, requireSome } from './task.ts';

export const generatedChoiceOptions = {
  choices: choicesOption,
  extract: z
    .enum(['letter', 'parenthesised', 'words'])
    .default('words')
    .describe(
      'letter: the letter that the first line gives as answer (mmlu_generative); parenthesised: the first `(A)`, else the words of an option, else a letter behind a colon (mmlu_flan_n_shot_generative); words: the option that stands first as whole words, without case.',
    ),
  ...promptingOptions,
  ...decodingOptions({ maxNewTokens: 32, stop: ['\n'] }),
};

const options = z.strictObject(generatedChoiceOptions);

export type GeneratedChoice = z.infer<typeof options>;

export const multipleChoiceGeneration: EvaluationTask<GeneratedChoice> = {
  id: 'multiple-choice-generation',
  summary: 'share of examples where the model writes the right option',
  options,
  writes: true,
  metrics: [
    { id: 'generatedAccuracy', summary: 'share of examples, 0 to 1', higherIsBetter: true },
    { id: 'generatedMacroF1', summary: 'mean of the F1 scores of the options, 0 to 1', higherIsBetter: true },
    { id: 'answered', summary: 'share of texts that choose some option', higherIsBetter: true },
  ],
  requests(examples, choice, { shots }) {
    const offered = offeredTo(examples, choice.choices);
    return examples.map((example, i) => ({
      example: i,
      texts: [],
      answer: positionOfAnswer(example, offered(example)),
      choices: offered(example),
      writing: writingOf(example, choice, shots),
    }));
  },
  judge({ outputs, answer, choices }, example, { extract }) {
    const predicted = RULES[extract](outputs![0]!, choices!, example);
    return {
      target: answer,
      predicted,
      right: Number(predicted === answer),
      answered: Number(predicted >= 0),
    };
  },
  summarise(scored) {
    requireSome(scored, 'multiple-choice-generation');
    return {
      generatedAccuracy: meanVerdict(scored, 'right'),
      generatedMacroF1: macroF1(scored.map(chosen)),
      answered: meanVerdict(scored, 'answered'),
    };
  },
  chance: (examples, { choices }) => chanceOf(examples, choices),
};

type Rule = (text: string, options: readonly string[], example: Example) => number;

const RULES: Readonly<Record<GeneratedChoice['extract'], Rule>> = {
  letter: (text, { length }) => letterOnFirstLine(text, length),
  parenthesised: (text, choices, { meta }) => letterInParentheses(text, meta.optionTexts ?? choices),
  words: (text, choices) => firstWords(text, choices),
};
