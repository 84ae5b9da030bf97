/** What the benchmarks of a training step have in common: its size, its LoRA, and how it is timed. */

import { availableParallelism } from 'node:os';
import { type Command, Option } from 'commander';
import { SHAPES, type Shapes } from './bench-model.ts';
import { wholeNumber } from './options.ts';

export interface StepOptions {
  readonly shapes: Shapes;
  readonly batch: number;
  readonly seq: number;
  readonly rank: number;
  readonly targets: string;
  readonly threads: number;
  readonly steps: number;
  readonly clock: keyof typeof CLOCKS;
}

/** Milliseconds. */
export const CLOCKS = {
  wall: () => performance.now(),
  cpu: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1000;
  },
};

export function withStepOptions(
  command: Command,
  defaults: Pick<StepOptions, 'batch' | 'seq' | 'steps'>,
): Command {
  return command
    .addOption(
      new Option('--shapes <model>', 'of made-up weights: SmolLM2-135M or TinyLlama-1.1B')
        .choices(SHAPES)
        .default('135m'),
    )
    .option('--batch <n>', 'sequences per step', wholeNumber, defaults.batch)
    .option('--seq <n>', 'tokens per sequence', wholeNumber, defaults.seq)
    .option('--rank <n>', 'LoRA rank', wholeNumber, 8)
    .option('--targets <names>', 'modules with LoRA, separated by commas, or all-linear', 'q_proj,v_proj')
    .option('--threads <n>', 'threads of the session', wholeNumber, availableParallelism())
    .option('--steps <n>', 'timed steps; the median counts', wholeNumber, defaults.steps)
    .addOption(
      new Option('--clock <kind>', 'cpu: processor time, for machines that do other work meanwhile')
        .choices(Object.keys(CLOCKS))
        .default('wall'),
    );
}
