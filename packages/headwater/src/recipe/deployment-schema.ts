/** The section `deployment` of a recipe: what only `headwater serve` needs. */

import { z } from 'zod';
import { releaseVote } from './release-schema.ts';
import { positiveInt } from './schema-parts.ts';

/** Of owners in a deployment: what the wire takes. */
const ownerName = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9_-]|\.(?=[a-z0-9_-])){0,62}$/,
    'lower-case letters, digits, dots, dashes; at most 63',
  );

export const deployment = z.strictObject({
  minOwners: positiveInt
    .optional()
    .describe(
      'The run begins when so many owners have joined; later ones take part from then on. Default: all of `owners`, else as many as a round needs: cohortSize (buffered: bufferSize) or quorum, at least 2.',
    ),
  owners: z
    .array(ownerName)
    .min(1)
    .optional()
    .describe('Who may join, by the names on their join tokens. Default: whoever has a token.'),
  deadlineSeconds: z
    .number()
    .positive()
    .max(30 * 86_400)
    .default(3600)
    .describe(
      'A round that has its quorum closes after this time; one that has not asks again, and others too.',
    ),
  evaluationDeadlineSeconds: z
    .number()
    .positive()
    .max(30 * 86_400)
    .default(1800)
    .describe('Scores of owners that come later are left out.'),
  quarantineAfter: positiveInt
    .default(3)
    .describe('An owner is not asked any more after so many refused updates, until the operator pardons it.'),
  releaseVote: releaseVote
    .optional()
    .describe(
      'Owners score a round on their own held-out examples, in signed messages, and are for it when their loss is no larger than with the release before. Only rounds with enough weight for them are released. `headwater run` counts the same votes. Needs validation data. Default: no vote.',
    ),
  tabWeights: z
    .enum(['exact', 'float16'])
    .optional()
    .describe(
      'Base weights in browser tabs. exact: as the checkpoint has them, on WebGPU widened to float32. float16: large matrices rounded to float16, half of float32; blocks of `quantization` stay what they are. Default: exact.',
    ),
});
