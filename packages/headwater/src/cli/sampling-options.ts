/** What the commands that write text have in common: how the next token is drawn, where answers end, how it is computed. */

import type { Command } from 'commander';
import type { Device } from '../runtime/executor.ts';
import { deviceOption, nonNegative, prepackOption, stopString } from './options.ts';

export interface WritingOptions {
  readonly temperature: number;
  readonly topP: number;
  readonly topK: number;
  readonly repetitionPenalty: number;
  readonly seed?: number;
  readonly stop: readonly string[];
  readonly prepack: boolean;
  readonly device: Device;
}

interface WritingDefaults {
  readonly temperature: number;
  readonly topP: number;
  /** Omitted: another one each time. */
  readonly seed?: number;
}

export function withWritingOptions(command: Command, { temperature, topP, seed }: WritingDefaults): Command {
  const drawn = seed === undefined ? 'of the sampling (default: another one each time)' : 'of the sampling';
  return command
    .option('--temperature <t>', '0 is greedy', nonNegative, temperature)
    .option('--top-p <p>', 'nucleus sampling', nonNegative, topP)
    .option('--top-k <k>', 'sample among the k likeliest; 0: all', nonNegative, 0)
    .option('--repetition-penalty <x>', '1: none', nonNegative, 1)
    .option('--seed <n>', drawn, nonNegative, seed)
    .option('--stop <text>', 'end before this text; may be repeated', stopString, [])
    .addOption(prepackOption())
    .addOption(deviceOption().default('cpu'));
}

/** How the next token is drawn, in the generator’s words. */
export function samplingOf({ temperature, topP, topK, repetitionPenalty }: WritingOptions) {
  return { temperature, topP, topK, repetitionPenalty };
}
