/** The mean of −log p over what is supervised: the tokens of answers, or the class of a text. */

import { z } from 'zod';
import { tensor } from '../../base/tensor.ts';
import { crossEntropy } from '../../graph/cross-entropy.ts';
import type { BatchLoss } from '../batch-loss.ts';
import type { BoundObjective, Objective } from './objective.ts';

const options = z.strictObject({});

/** Σ wᵢ · −log p(targetᵢ), w [M]. */
function weightedTargets(weights: Float32Array): BatchLoss {
  const shape = [weights.length];
  return {
    form: '',
    feeds: new Map([['targetWeights', tensor('float32', shape, weights)]]),
    write: (graph, projection, ids) => ({
      loss: crossEntropy(projection, ids, graph.input('targetWeights', 'float32', shape)),
    }),
  };
}

export const meanOverTargets: BoundObjective = {
  id: 'language-modelling',
  isMeanOverTargets: true,
  sequencesPerExample: 1,
  sequences: (examples) => examples,
  numTerms: ({ numTargets }) => numTargets,
  partOf: ({ targetMask }, numTerms) => weightedTargets(targetMask.map((mask) => mask / numTerms)),
};

/** Σ wₑ · −log p over the targets of each example e, `weightOf` its position among a step’s examples. */
export function weightedExamples(weightOf: (example: number) => number): BoundObjective {
  return {
    ...meanOverTargets,
    id: 'weighted-examples',
    isMeanOverTargets: false,
    partOf: ({ targetMask, targetExample }) =>
      weightedTargets(targetMask.map((mask, slot) => (mask === 0 ? 0 : weightOf(targetExample[slot]!)))),
  };
}

export const languageModelling: Objective<z.infer<typeof options>> = {
  id: 'language-modelling',
  summary: '−log p of the supervised tokens, or of the class of a text',
  options,
  bind: () => meanOverTargets,
};
