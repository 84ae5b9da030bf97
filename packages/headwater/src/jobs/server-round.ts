/**
 * A server that learns after its step, on public examples: the part of an aggregation that needs an engine. A function of the
 * params, the public examples and the seed, like a client's round.
 */

import { assert } from '../base/errors.ts';
import type { TokenizedExample } from '../data/types.ts';
import type { RoundOutput } from '../federation/aggregate.ts';
import type { BoundMethod } from '../federation/method.ts';
import type { Engine } from '../training/engine.ts';
import type { BoundTuning } from '../tuning/kind.ts';
import { statsOf } from './client-round.ts';
import type { ServerTraining } from './jobs.ts';
import { publicExamples, trainingOf, withSteps } from './learner.ts';

export interface ServerRoundParts {
  readonly engine: Pick<Engine, 'train' | 'distributions'>;
  readonly tuning: Pick<BoundTuning, 'tensors'>;
  readonly method: BoundMethod;
  readonly publicExamples?: readonly TokenizedExample[] | undefined;
}

/** `output`: what the step gave. Throws TRAINING_DIVERGED and what the engine throws. */
export async function trainServer(
  { engine, tuning, method, publicExamples: examples = [] }: ServerRoundParts,
  round: number,
  training: ServerTraining | undefined,
  output: RoundOutput,
): Promise<RoundOutput> {
  if (method.serverTrain === undefined) return output;
  assert(training !== undefined, 'a server that trains is told how');
  const { seed, options } = training;
  const { maxLength, microBatchSize: batchSize } = options;
  const still = tuning.tensors.filter((tensor) => ['frozen', 'given'].includes(method.role(tensor, round)));
  const { params, figures } = await method.serverTrain({
    round,
    params: output.params,
    publicExamples: publicExamples(examples, seed),
    async train(start, task = {}) {
      const frozen = new Set([...still.map(({ name }) => name), ...(task.frozen ?? [])]);
      const local = { ...trainingOf(task), frozen };
      const how = withSteps(options, task.steps);
      const trained = await engine.train(start, task.examples ?? examples, how, undefined, local);
      return { params: trained.params, steps: trained.steps, stats: statsOf(trained) };
    },
    distributions: (of, rows, how) => engine.distributions(of, rows, { ...how, batchSize, maxLength }),
  });
  const { report } = output;
  return { ...output, params, report: { ...report, figures: { ...report.figures, ...figures } } };
}
