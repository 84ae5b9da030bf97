/**
 * MMLU (Hendrycks et al. 2021, arXiv:2009.03300): questions of 57 subjects with four options, by likelihood of the letters or
 * by the letter that is written; over all questions, as mean over subjects, and by subject and category. The prompt is the
 * authors'. Needs data.groupColumn or data.groupByFile for the subjects, and data.shots for solved examples.
 */

import { z } from 'zod';
import { HeadwaterError } from '../../base/errors.ts';
import type { Example } from '../../data/types.ts';
import { multipleChoice } from './multiple-choice.ts';
import { generatedChoiceOptions, multipleChoiceGeneration } from './multiple-choice-generation.ts';
import type { EvaluationTask, Metric, ScoredRequest, TaskRequest } from './task.ts';

/** hendrycks/test, categories.py. */
const CATEGORIES: Readonly<Record<string, string>> = {
  STEM: `abstract_algebra astronomy college_biology college_chemistry college_computer_science college_mathematics
    college_physics computer_security conceptual_physics electrical_engineering elementary_mathematics high_school_biology
    high_school_chemistry high_school_computer_science high_school_mathematics high_school_physics high_school_statistics
    machine_learning`,
  humanities: `formal_logic high_school_european_history high_school_us_history high_school_world_history
    international_law jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy prehistory
    professional_law world_religions`,
  'social sciences': `econometrics high_school_geography high_school_government_and_politics
    high_school_macroeconomics high_school_microeconomics high_school_psychology human_sexuality
    professional_psychology public_relations security_studies sociology us_foreign_policy`,
  other: `anatomy business_ethics clinical_knowledge college_medicine global_facts human_aging management marketing
    medical_genetics miscellaneous nutrition professional_accounting professional_medicine virology`,
};

export const mmluCategories: ReadonlyMap<string, string> = new Map(
  Object.entries(CATEGORIES).flatMap(([category, subjects]) =>
    subjects.split(/\s+/).map((subject) => [subject, category] as const),
  ),
);

const INSTRUCTION = 'The following are multiple choice questions (with answers) about {group}.\n\n';
const authorsPrompt = {
  instruction: generatedChoiceOptions.instruction.unwrap().default(INSTRUCTION),
  shots: generatedChoiceOptions.shots.unwrap().default(5),
};

const likelihoodOptions = z.strictObject({ ...authorsPrompt });
const generationOptions = z.strictObject({
  ...authorsPrompt,
  extract: z
    .enum(['letter', 'parenthesised'])
    .default('letter')
    .describe('How the letter is found in the text, as in multiple-choice-generation.'),
  maxNewTokens: generatedChoiceOptions.maxNewTokens,
  stop: generatedChoiceOptions.stop,
});

export const mmlu: EvaluationTask<z.infer<typeof likelihoodOptions>> = {
  id: 'mmlu',
  summary:
    'MMLU by the likelihood of the letters: all questions, mean over subjects, subjects and categories',
  options: likelihoodOptions,
  metrics: metricsOf('mmlu'),
  requests: (examples, choice, context) =>
    bySubject(examples, multipleChoice.requests!(examples, inner(choice), context)),
  judge: (request, example, choice) => multipleChoice.judge!(request, example, inner(choice)),
  summarise: (scored, choice) =>
    summarised('mmlu', scored, multipleChoice.summarise(scored, inner(choice)).accuracy!),
  chance: () => 1 / 4,
};

export const mmluGeneration: EvaluationTask<z.infer<typeof generationOptions>> = {
  id: 'mmlu-generation',
  summary: 'MMLU by the letter that is written: all questions, mean over subjects, subjects and categories',
  options: generationOptions,
  writes: true,
  metrics: metricsOf('mmluGenerated'),
  requests: (examples, choice, context) =>
    bySubject(examples, multipleChoiceGeneration.requests!(examples, innerGeneration(choice), context)),
  judge: (request, example, choice) =>
    multipleChoiceGeneration.judge!(request, example, innerGeneration(choice)),
  summarise: (scored, choice) =>
    summarised(
      'mmluGenerated',
      scored,
      multipleChoiceGeneration.summarise(scored, innerGeneration(choice)).generatedAccuracy!,
    ),
  chance: () => 1 / 4,
};

function metricsOf(id: string): [Metric, Metric] {
  return [
    { id, summary: 'share of all questions, 0 to 1', higherIsBetter: true },
    { id: `${id}SubjectMean`, summary: 'mean over subjects, 0 to 1', higherIsBetter: true },
  ];
}

/** The reference scores letters without an end token, not normalised. */
function inner(choice: z.infer<typeof likelihoodOptions>) {
  const rule = { choices: 'example', lengthNormalised: false, endToken: false } as const;
  return { ...rule, ...choice, separator: '\n\n' };
}

function innerGeneration(choice: z.infer<typeof generationOptions>) {
  const greedy = { temperature: 0, topP: 1, topK: 0 };
  return { choices: 'example' as const, separator: '\n\n', ...greedy, ...choice };
}

function bySubject(examples: readonly Example[], requests: readonly TaskRequest[]): TaskRequest[] {
  return requests.map((request) => {
    const { group, where } = examples[request.example]!.meta;
    const category = group === undefined ? undefined : mmluCategories.get(group);
    if (group === undefined || category === undefined) throw unknownSubject(group, where);
    return { ...request, groups: [group, category] };
  });
}

function unknownSubject(group: string | undefined, where: string): HeadwaterError {
  const what = group === undefined ? 'the question has no subject' : `"${group}" is no subject of MMLU`;
  return new HeadwaterError('DATA_INVALID', what, {
    where,
    hint: 'Name the column of subjects as data.groupColumn, or set data.groupByFile for one file a subject.',
  });
}

function summarised(id: string, scored: readonly ScoredRequest[], accuracy: number): Record<string, number> {
  const subjects = new Map<string, { right: number; count: number }>();
  for (const { groups, verdict } of scored) {
    const subject = subjects.get(groups![0]!) ?? { right: 0, count: 0 };
    subjects.set(groups![0]!, subject);
    subject.right += verdict!.right!;
    subject.count++;
  }
  const means = [...subjects.values()].map(({ right, count }) => right / count);
  return { [id]: accuracy, [`${id}SubjectMean`]: means.reduce((sum, mean) => sum + mean, 0) / means.length };
}
