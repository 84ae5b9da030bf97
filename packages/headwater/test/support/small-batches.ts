/** Small batches of random examples for a small model: sequences, or sequences with a class. */

import { rng } from '../../src/base/random.ts';
import { makeBatches } from '../../src/data/batches.ts';
import type { TokenizedExample } from '../../src/data/types.ts';
import type { SmallModel } from './random-models.ts';

export function smallBatches({ definition }: Pick<SmallModel, 'definition'>, label: string) {
  const random = rng('small-batches', label);
  const isClassifier = definition.objective === 'sequence-classification';
  const examples = [4, 7].map((length): TokenizedExample => {
    const tokens = Int32Array.from({ length }, () => 2 + random.below(definition.shape.vocabSize - 2));
    const supervised = Uint8Array.from(tokens, (_, i) => (isClassifier || i === 0 ? 0 : 1));
    return isClassifier
      ? { tokens, supervised, numTargets: 1, classId: random.below(3) }
      : { tokens, supervised, numTargets: length - 1 };
  });
  return makeBatches(examples, { batchSize: 2, maxLength: 7 });
}
