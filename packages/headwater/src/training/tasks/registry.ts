/** The evaluation tasks that come with Headwater, by id. A plug-in's tasks join a copy of this map. */

import { classification } from './classification.ts';
import { exactMatch } from './exact-match.ts';
import { multipleChoice } from './multiple-choice.ts';
import { perplexity } from './perplexity.ts';
import type { EvaluationTask } from './task.ts';
import { tokenAccuracy } from './token-accuracy.ts';

export const tasks: ReadonlyMap<string, EvaluationTask<unknown>> = new Map<string, EvaluationTask<unknown>>(
  [perplexity, exactMatch, tokenAccuracy, multipleChoice, classification].map((task) => [
    task.id,
    task as EvaluationTask<unknown>,
  ]),
);
