/** Keys of `federation.realign`: what the server trains after a round on examples of its own. */

import { z } from 'zod';
import { positiveInt } from './schema-parts.ts';

export const realign = z
  .strictObject({
    everyRounds: positiveInt.default(1).describe('After every so many rounds, and after the last.'),
    steps: positiveInt.default(5).describe('Optimizer steps each time, with the batch size of training.'),
    learningRate: z
      .number()
      .positive()
      .optional()
      .describe('Of these steps, constant. Default: that of training.optimizer.'),
  })
  .optional()
  .describe(
    'After aggregation the server trains the global params on `data.public`: a small set of its own instructions, answered as they should be, against what safety poisoning taught the model (Ye et al., ICLR 2025). For methods that average, also with robust rules, privacy and secure aggregation: it begins where the sum ends. Default: not.',
  );
