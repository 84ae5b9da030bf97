/** Figures about an owner's work that every trainer gives in the same way, wherever it trains. */

import type { OwnerScores } from '../federation/events.ts';
import { type SetAnswers, summarise } from '../jobs/evaluation-figures.ts';
import type { EvaluationSet } from '../jobs/evaluation-set.ts';
import { bindTuning, type RunRegistries } from '../jobs/records.ts';
import type { Model } from '../models/model.ts';
import type { Recipe } from '../recipe/schema.ts';
import type { ExampleScore } from '../training/engine.ts';

/** The JSON header of a safetensors file, for each tensor and at all. */
const HEADER_BYTES = 512;

/** Most bytes that params of the run can have. */
export function maxParamsBytes(recipe: Recipe, { definition }: Model, registries: RunRegistries): number {
  const { tensors } = bindTuning(recipe, definition, registries);
  const bytes = tensors.map(({ shape }) => 4 * shape.reduce((product, n) => product * n, 1) + HEADER_BYTES);
  return bytes.reduce((sum, n) => sum + n, HEADER_BYTES);
}

/** The start of the run and the bare base model are scored without what this owner has learnt since. */
export function isBeforeTraining(evaluation: string): boolean {
  return evaluation === 'validation/0' || evaluation === 'test/base';
}

export function ownerScores(set: EvaluationSet, answers: SetAnswers): OwnerScores {
  const { numExamples, pooled } = summarise(set, answers);
  return { numExamples, numTargets: numTargetsOf(set, answers.scores), scores: pooled };
}

/** What the loss is a mean over: supervised tokens of the examples themselves, not of made-up answers. */
function numTargetsOf(set: EvaluationSet, scores: readonly ExampleScore[]): number {
  const own = new Set(set.examples.map((example) => set.textIds.get(example)));
  return scores.reduce((sum, { numTargets }, i) => sum + (own.has(set.pieceText[i]) ? numTargets : 0), 0);
}
