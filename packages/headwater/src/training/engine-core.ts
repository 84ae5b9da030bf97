/** The engine: a runner with the training loop, scoring and generation behind the `Engine` contract. One thread, no files. */

import { HeadwaterError } from '../base/errors.ts';
import type { ModelDefinition } from '../models/model.ts';
import { accumulatedGradients, accumulatedLoss } from './accumulate.ts';
import { distributionsOf } from './distillation.ts';
import type { Engine, ExampleScore } from './engine.ts';
import { createDecoder } from './generation/decoder.ts';
import { generateAll, generateRecomputed, sequenceLogits } from './generation/generate.ts';
import { createGenerator } from './generation/generator.ts';
import { meanOverTargets } from './objectives/language-modelling.ts';
import type { BoundObjective } from './objectives/objective.ts';
import { createRunner, type RunnerParts } from './runner.ts';
import { scoreExamples } from './score.ts';
import { stepBatches } from './step-batches.ts';
import { trainSteps } from './train.ts';
import { numVirtualTokens, shapeForText } from './virtual-tokens.ts';

/** Examples per pass when gradients are asked for without a batch size. */
const GRADIENT_ROWS = 8;
/** Texts side by side when nobody says how many. */
const GENERATION_ROWS = 8;

export interface EngineParts extends RunnerParts {
  /** What training minimises; omitted: −log p of what is supervised. */
  readonly objective?: BoundObjective;
}

export function createEngine({ objective = meanOverTargets, ...parts }: EngineParts): Engine {
  const runner = createRunner(parts);
  const { virtual } = runner;
  const { definition } = parts.model;
  const shape = shapeForText(definition.shape, virtual);
  const first = numVirtualTokens(virtual) * shape.numLogits;
  return {
    train: (params, examples, options, onStep, local) =>
      trainSteps(
        { runner, objective: local?.objective ?? objective },
        params,
        examples,
        options,
        onStep,
        local,
      ),
    gradients: (params, examples, { maxLength, ...pass }) =>
      accumulatedGradients(
        runner,
        params,
        stepBatches(objective, virtual, examples, {
          batchSize: GRADIENT_ROWS / objective.sequencesPerExample,
          maxLength,
        }),
        undefined,
        pass,
      ),
    loss: async (params, examples, options) => {
      if (objective.isMeanOverTargets) return meanNll(await scoreExamples(runner, params, examples, options));
      const step = stepBatches(objective, virtual, examples, options);
      return (await accumulatedLoss(runner, params, step)).loss;
    },
    score: (params, examples, options) => scoreExamples(runner, params, examples, options),
    distributions: (params, examples, options) => distributionsOf(runner, params, examples, options),
    logits: async (params, tokens) =>
      (await sequenceLogits(runner, params, tokens)).slice(first, first + tokens.length * shape.numLogits),
    async classify(params, tokens) {
      checkClassifies(definition);
      // The first row of all, virtual or real, is the one that the head reads.
      return (await sequenceLogits(runner, params, tokens)).slice(0, shape.numLogits);
    },
    async generate(params, prompt, options, onToken) {
      checkGenerates(definition);
      const subject = { runner, params, shape };
      if (options.useCache === false) return generateRecomputed(subject, prompt, options, onToken);
      const [result] = await generateAll(subject, [{ prompt, options, onToken }], 1);
      return result!.tokens;
    },
    async generateBatch(params, requests, { batchSize = GENERATION_ROWS } = {}) {
      checkGenerates(definition);
      return generateAll({ runner, params, shape }, requests, batchSize);
    },
    openGenerator(params, { batchSize, maxTokens }) {
      checkGenerates(definition);
      const numVirtual = virtual?.count ?? 0;
      const forText = Math.min(maxTokens, shape.maxPositionEmbeddings);
      const fit = { numSlots: batchSize, maxTokens: numVirtual + forText };
      return createGenerator(createDecoder(runner, params, shape, fit), forText);
    },
  };
}

function meanNll(scores: readonly ExampleScore[]): number {
  const sum = (of: (score: ExampleScore) => number) => scores.reduce((total, score) => total + of(score), 0);
  return (
    sum(({ nll }) => nll) /
    Math.max(
      1,
      sum(({ numTargets }) => numTargets),
    )
  );
}

function checkGenerates({ objective, architecture }: ModelDefinition): void {
  if (objective === 'causal-lm') return;
  throw new HeadwaterError('MODEL_UNSUPPORTED', `a ${architecture} classifier does not continue text`, {
    hint: 'Text needs a causal language model; classifiers are scored with `headwater eval`.',
  });
}

function checkClassifies({ objective, architecture }: ModelDefinition): void {
  if (objective === 'sequence-classification') return;
  throw new HeadwaterError('MODEL_UNSUPPORTED', `a ${architecture} language model has no classes`, {
    hint: 'Classes need an encoder with a classification head (bert, roberta, distilbert).',
  });
}
