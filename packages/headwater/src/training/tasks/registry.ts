/** The evaluation tasks that come with Headwater, by id. A plug-in's tasks join a copy of this map. */

import { attackSuccess } from './attack-success.ts';
import { classification } from './classification.ts';
import { exactMatch } from './exact-match.ts';
import { forgetting } from './forgetting.ts';
import { gsm8k } from './gsm8k.ts';
import { mmlu, mmluGeneration } from './mmlu.ts';
import { multipleChoice } from './multiple-choice.ts';
import { multipleChoiceGeneration } from './multiple-choice-generation.ts';
import { passAtK } from './pass-at-k.ts';
import { perplexity } from './perplexity.ts';
import { preference } from './preference.ts';
import { preferenceReward } from './preference-reward.ts';
import { refusalRate } from './refusal-rate.ts';
import { rougeL } from './rouge-l.ts';
import type { EvaluationTask } from './task.ts';
import { tokenAccuracy } from './token-accuracy.ts';

const all = [
  perplexity,
  exactMatch,
  tokenAccuracy,
  multipleChoice,
  multipleChoiceGeneration,
  mmlu,
  mmluGeneration,
  classification,
  gsm8k,
  rougeL,
  passAtK,
  preference,
  preferenceReward,
  forgetting,
  attackSuccess,
  refusalRate,
] as readonly EvaluationTask<unknown>[];

export const tasks: ReadonlyMap<string, EvaluationTask<unknown>> = new Map(
  all.map((task) => [task.id, task]),
);
