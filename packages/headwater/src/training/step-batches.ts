/** From a step's examples to the batches of an objective: its sequences, behind the virtual tokens of a tuning kind. */

import type { BatchOptions } from '../data/batches.ts';
import type { TokenizedExample } from '../data/types.ts';
import type { VirtualPositions } from '../tuning/kind.ts';
import type { StepBatches } from './accumulate.ts';
import type { BoundObjective } from './objectives/objective.ts';
import { batchesBehind } from './virtual-tokens.ts';

/** `batchSize` counts examples. */
export function stepBatches(
  objective: BoundObjective,
  virtual: VirtualPositions | undefined,
  examples: readonly TokenizedExample[],
  options: BatchOptions,
): StepBatches {
  const sequences = objective.sequences(examples);
  const batchSize = options.batchSize * objective.sequencesPerExample;
  return { objective, sequences, batches: batchesBehind(virtual, sequences, { ...options, batchSize }) };
}
