/**
 * What owners and a server have in common when they train in a round: the recipe's training on any examples, with a
 * teacher or without, and the order of public examples. It knows no method.
 */

import type { TokenizedExample } from '../data/types.ts';
import type { LocalTask, PublicExamples } from '../federation/local-round.ts';
import { taughtBy } from '../training/distillation.ts';
import type { LocalTraining, TrainOptions } from '../training/engine.ts';
import { exampleStream } from '../training/example-stream.ts';
import { scheduleFactor } from '../training/schedules.ts';

/** Of the first step. */
export function learningRateOf({ optimizer, schedule, stepOffset, totalSteps }: TrainOptions): number {
  return optimizer.learningRate * scheduleFactor(schedule, stepOffset, totalSteps);
}

/** Options of a training with so many steps of its own: all at the learning rate of the first. */
export function withSteps(options: TrainOptions, steps: number | undefined): TrainOptions {
  if (steps === undefined) return options;
  return {
    ...options,
    ...{ steps, stepOffset: 0, totalSteps: steps },
    schedule: { kind: 'constant', warmupSteps: 0, minFactor: 0 },
    optimizer: { ...options.optimizer, learningRate: learningRateOf(options) },
  };
}

/** The part of a task that an engine takes. */
export function trainingOf({ examples: _, steps: _steps, teacher, ...local }: LocalTask): LocalTraining {
  return teacher === undefined ? local : { ...local, objective: taughtBy(teacher) };
}

/** Rounds take one after the other what their seed has shuffled, epoch after epoch. */
export function publicExamples(examples: readonly TokenizedExample[], seed: number): PublicExamples {
  return {
    ofRound(round, count) {
      const stream = exampleStream(examples.length, [seed, 'public']);
      for (let before = 1; before < round; before++) stream.take(count);
      return stream.take(count).map((position) => examples[position]!);
    },
  };
}
