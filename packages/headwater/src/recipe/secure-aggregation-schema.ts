/** The recipe's section on secure aggregation: how the updates of a round are added without the coordinator seeing any of them. */

import { z } from 'zod';

/** A public key of 32 bytes in base64url. */
const key = z
  .string()
  .regex(/^[A-Za-z0-9_-]{43}$/, '32 bytes in base64url, as `headwater helper` prints them');

export const DEFAULT_ADVERSARIES = 0.1;
export const DEFAULT_DROPOUTS = 0.2;
export const DEFAULT_STEP_SECONDS = 120;

const helper = z.strictObject({
  url: z
    .url({ protocol: /^https?$/ })
    .describe('Address of `headwater helper`, as the coordinator reaches it.'),
  key: key.describe(
    'Its public key: what clients seal the seeds of their masks for. Part of the signed manifest.',
  ),
});

export const secureAggregation = z.strictObject({
  mode: z
    .enum(['two-server', 'secagg-plus'])
    .describe(
      'two-server: one message from each client; the masks are opened by a helper that another party runs (`headwater helper`), and neither server alone learns more than sums. secagg-plus (Bell et al. 2020): the owners of a round open the masks together, in rounds of messages; one server, and as many honest owners as the threshold says.',
    ),
  helper: helper
    .optional()
    .describe('two-server: who opens the masks. `headwater run`, which plays all parties, needs none.'),
  adversaries: z
    .number()
    .min(0)
    .max(0.45)
    .optional()
    .describe(
      `secagg-plus: the largest share of owners that may work together with the coordinator against another owner. Neighbourhoods and thresholds follow from it; up to 32 owners everybody is everybody's neighbour, and it is a third. Default: ${DEFAULT_ADVERSARIES}.`,
    ),
  dropouts: z
    .number()
    .min(0)
    .max(0.45)
    .optional()
    .describe(
      `secagg-plus: the share of owners that may drop out while the masks are opened without the attempt being lost. Default: ${DEFAULT_DROPOUTS}.`,
    ),
  stepSeconds: z
    .number()
    .positive()
    .max(86_400)
    .optional()
    .describe(
      `secagg-plus: how long an owner may take for one of the steps after its training; then the round goes on without it. Default: ${DEFAULT_STEP_SECONDS}.`,
    ),
  groupSize: z
    .int()
    .min(3)
    .optional()
    .describe(
      'Random groups of at least so many updates: only their sums are opened, and federation.robust is a rule over their means. Needs more than 2 · byzantine + 3 groups. secagg-plus draws as many groups as federation.quorum fills when the keys are fixed, and an owner is protected by those of its group: too many dropouts in one give the attempt up. Default: one sum of all.',
    ),
});
