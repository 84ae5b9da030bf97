/** Keys of `federation` about who sent what: checks of whole rounds, the watch for free-riders, what is kept for later. */

import { z } from 'zod';

export const accountability = {
  maxNormOverMedian: z
    .number()
    .gt(1)
    .optional()
    .describe(
      'κ: in rounds of five updates or more, one that is longer than κ times the median length is put aside, whatever the rule; owners who take more steps than the median one may send longer ones by as much. Default: 5. Not in runs with privacy, where updates are clipped.',
    ),
  freeRiders: z
    .strictObject({
      layers: z
        .int()
        .positive()
        .default(1)
        .describe('Blocks of the model, from the last, whose adapter tensors are compared.'),
    })
    .optional()
    .describe(
      'Look in every round for owners who send what they did not learn, and report them; nobody is banned. Default: not.',
    ),
  keepUpdates: z
    .boolean()
    .optional()
    .describe(
      'Keep every round’s params and counted updates: what `headwater contribution` and `headwater unlearn` work from. For `headwater run`. Takes rounds · owners · the size of an update on disk. Default: only as long as a round needs them.',
    ),
};
