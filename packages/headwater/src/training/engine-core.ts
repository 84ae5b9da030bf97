/** The engine: a runner with the training loop, scoring and generation behind the `Engine` contract. One thread, no files. */

import { accumulatedGradients } from './accumulate.ts';
import type { Engine, GenerateOptions } from './engine.ts';
import { cachedLogits, generateTokens, recomputedLogits, sequenceLogits } from './generation.ts';
import { createRunner, type EngineParts } from './runner.ts';
import { scoreExamples } from './score.ts';
import { trainSteps } from './train.ts';
import { batchesBehind, numVirtualTokens, shapeForText } from './virtual-tokens.ts';

/** Examples per pass when gradients are asked for without a batch size. */
const GRADIENT_ROWS = 8;

export function createEngine(parts: EngineParts): Engine {
  const runner = createRunner(parts);
  const { virtual } = runner;
  const shape = shapeForText(parts.model.definition.shape, virtual);
  const first = numVirtualTokens(virtual) * shape.vocabSize;
  return {
    train: (params, examples, options, onStep) => trainSteps(runner, params, examples, options, onStep),
    gradients: (params, examples, { maxLength }) =>
      accumulatedGradients(
        runner,
        params,
        batchesBehind(runner.virtual, examples, { batchSize: GRADIENT_ROWS, maxLength }),
      ),
    score: (params, examples, options) => scoreExamples(runner, params, examples, options),
    logits: async (params, tokens) =>
      (await sequenceLogits(runner, params, tokens)).slice(first, first + tokens.length * shape.vocabSize),
    generate: (params, prompt, options: GenerateOptions, onToken) => {
      const logits = options.useCache === false ? recomputedLogits : cachedLogits;
      return generateTokens(logits(runner, params, shape), shape, prompt, options, onToken);
    },
  };
}
