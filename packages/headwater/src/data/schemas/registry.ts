/** The data schemas that come with Headwater, by id. */

import { alpaca } from './alpaca.ts';
import { classification } from './classification.ts';
import { codeProblem } from './code-problem.ts';
import { messages } from './messages.ts';
import { multipleChoice } from './multiple-choice.ts';
import { preference } from './preference.ts';
import { promptCompletion } from './prompt-completion.ts';
import type { DataSchema } from './schema.ts';
import { sharegpt } from './sharegpt.ts';
import { text } from './text.ts';

export const schemas: ReadonlyMap<string, DataSchema<unknown>> = new Map<string, DataSchema<unknown>>(
  [
    promptCompletion,
    alpaca,
    messages,
    sharegpt,
    text,
    classification,
    multipleChoice,
    preference,
    codeProblem,
  ].map((schema) => [schema.id, schema as DataSchema<unknown>]),
);
