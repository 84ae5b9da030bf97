/** The training loop: optimizer steps over a seeded stream of examples. Same inputs, same bits; no clock, no files. */

import { assert, HeadwaterError } from '../base/errors.ts';
import { rng } from '../base/random.ts';
import { type Params, type Tensor, tensor } from '../base/tensor.ts';
import type { TokenizedExample } from '../data/types.ts';
import { accumulatedGradients, estimatedGradients, type StepGradients } from './accumulate.ts';
import { clipToNorm, globalNorm } from './clip.ts';
import type { LocalTraining, StepReport, TrainOptions, TrainResult } from './engine.ts';
import { exampleStream } from './example-stream.ts';
import type { BoundObjective } from './objectives/objective.ts';
import { initialState, optimizerStep } from './optimizers/optimizer.ts';
import { optimizers } from './optimizers/registry.ts';
import { privateGradients, privateSource } from './private-step.ts';
import type { Runner } from './runner.ts';
import { scheduleFactor } from './schedules.ts';
import { stepBatches } from './step-batches.ts';

export interface Trained {
  readonly runner: Runner;
  readonly objective: BoundObjective;
}

/**
 * `options.steps` optimizer steps on an objective from `params`, which stay untouched; the optimizer starts fresh. `local`: what a federated
 * method changes in it.
 * Throws TRAINING_DIVERGED when loss or gradient norm is not finite, DATA_INVALID when there is nothing to learn from.
 */
export async function trainSteps(
  { runner, objective }: Trained,
  params: Params,
  examples: readonly TokenizedExample[],
  options: TrainOptions,
  onStep?: (report: StepReport) => void,
  local: LocalTraining = {},
): Promise<TrainResult> {
  if (examples.length === 0) throw new HeadwaterError('DATA_INVALID', 'there are no examples to train on');
  const optimizer = optimizers[options.optimizer.kind];
  const { frozen = NOTHING } = local;
  const isTrained = (name: string) => !frozen.has(name) && !runner.untrained.has(name);
  const current = copied(params);
  const trained = new Map([...current].filter(([name]) => isTrained(name)));
  const state = initialState(optimizer, trained, options.optimizer);
  const next = options.privacy === undefined ? plainSteps : privateSteps;
  const step = next({ runner, objective }, examples, options, trained, local);
  const steps: StepReport[] = [];
  const numTerms: number[] = [];
  let numExamples = 0;
  for (let i = 0; i < options.steps; i++) {
    const { gradients, numExamples: seen } = await step(current, i);
    const report = reportOf(gradients, options, i);
    if (options.maxGradNorm !== undefined) clipToNorm(gradients.grads, report.gradNorm, options.maxGradNorm);
    optimizerStep(optimizer, trained, gradients.grads, state, options.optimizer, report.learningRate);
    steps.push(report);
    numTerms.push(gradients.numTerms);
    numExamples += seen;
    onStep?.(report);
  }
  return { params: current, steps, numExamples, ...totals(steps, numTerms) };
}

/** The gradient of a step at some params. */
type Step = (
  current: Params,
  index: number,
) => Promise<{ readonly gradients: StepGradients; readonly numExamples: number }>;

type Steps = (
  trained: Trained,
  examples: readonly TokenizedExample[],
  options: TrainOptions,
  tensors: Params,
  local: LocalTraining,
) => Step;

const plainSteps: Steps = (trained, examples, options, _, local) => {
  const stream = exampleStream(examples.length, options.seedPath);
  return async (current, index) => {
    const taken = stream.take(options.batchSize).map((position) => examples[position]!);
    return {
      gradients: await stepGradients(trained, current, taken, options, index, local),
      numExamples: taken.length,
    };
  };
};

/** What a method adds to the gradient of the data joins after the noise: it must know nothing of the examples. */
const privateSteps: Steps = (
  trained,
  all,
  options,
  tensors,
  { extraGradient, estimate, objective: _, ...pass },
) => {
  const privacy = options.privacy!;
  assert(estimate === undefined, 'a gradient that is estimated has no gradients by example');
  const source = privateSource(privacy, options.seedPath);
  return async (current, index) => {
    const examples = source.sample(index, all.length).map((position) => all[position]!);
    const gradients = await privateGradients(
      trained,
      current,
      { ...options, privacy },
      {
        examples,
        expectedBatch: privacy.samplingRate * all.length,
        trained: tensors,
        noise: source.noise(index),
        dropout: (part) => rng(...options.seedPath, 'dropout', index, part),
        pass,
      },
    );
    addTo(gradients.grads, (await extraGradient?.(current, [])) ?? NO_PARAMS);
    return { gradients, numExamples: examples.length };
  };
};

async function stepGradients(
  { runner, objective }: Trained,
  params: Params,
  examples: readonly TokenizedExample[],
  options: TrainOptions,
  step: number,
  { extraGradient, estimate, objective: _, ...pass }: LocalTraining,
): Promise<StepGradients> {
  const { microBatchSize, maxLength, packing, seedPath } = options;
  const batches = stepBatches(objective, runner.virtual, examples, {
    batchSize: microBatchSize,
    maxLength,
    packing,
  });
  const dropout = (pass: number) => rng(...seedPath, 'dropout', step, pass);
  const gradients =
    estimate === undefined
      ? await accumulatedGradients(runner, params, batches, dropout, pass)
      : await estimatedGradients(runner, batches, (loss) => estimate({ params, step, loss }));
  addTo(gradients.grads, (await extraGradient?.(params, examples)) ?? NO_PARAMS);
  return gradients;
}

const NOTHING: ReadonlySet<string> = new Set();
const NO_PARAMS: Params = new Map();

/** Terms for tensors that are not trained say nothing. */
function addTo(gradients: Params, extra: Params): void {
  for (const [name, { data }] of extra) {
    const sum = gradients.get(name)?.data;
    if (sum !== undefined) for (let i = 0; i < sum.length; i++) sum[i]! += data[i]!;
  }
}

function reportOf(gradients: StepGradients, options: TrainOptions, index: number): StepReport {
  const step = options.stepOffset + index + 1;
  const gradNorm = globalNorm(gradients.grads);
  const { loss, numTokens, numTargets, figures } = gradients;
  if (!Number.isFinite(loss) || !Number.isFinite(gradNorm))
    throw new HeadwaterError(
      'TRAINING_DIVERGED',
      `step ${step}: the loss is ${loss} and the gradient norm ${gradNorm}`,
      {
        hint: 'Lower training.optimizer.learningRate, add warm-up steps, or set training.maxGradNorm (1 is usual).',
      },
    );
  const factor = scheduleFactor(options.schedule, step - 1, options.totalSteps);
  return {
    step,
    loss,
    gradNorm,
    learningRate: options.optimizer.learningRate * factor,
    numTokens,
    numTargets,
    ...(Object.keys(figures).length === 0 ? {} : { figures }),
  };
}

function copied(params: Params): Map<string, Tensor<'float32'>> {
  const names = [...params.keys()].sort();
  return new Map(
    names.map((name) => {
      const { shape, data } = params.get(name)!;
      return [name, tensor('float32', shape, data.slice())];
    }),
  );
}

/** Means weight every term (a target, a pair) alike, whatever step it was in. */
function totals(
  steps: readonly StepReport[],
  numTerms: readonly number[],
): Pick<TrainResult, 'meanLoss' | 'numTokens' | 'numTargets' | 'figures'> {
  const sum = (of: (step: StepReport, index: number) => number) =>
    steps.reduce((total, step, i) => total + of(step, i), 0);
  const all = sum((_, i) => numTerms[i]!);
  const mean = (of: (step: StepReport) => number) =>
    all === 0 ? 0 : sum((step, i) => of(step) * numTerms[i]!) / all;
  const names = Object.keys(steps[0]?.figures ?? {});
  const figures = names.map((name) => [name, mean((step) => step.figures![name]!)] as const);
  return {
    meanLoss: mean(({ loss }) => loss),
    numTokens: sum(({ numTokens }) => numTokens),
    numTargets: sum(({ numTargets }) => numTargets),
    ...(names.length === 0 ? {} : { figures: Object.fromEntries(figures) }),
  };
}
