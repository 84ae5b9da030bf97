/** The section `federation` of a recipe: the method, who takes part in a round, and how updates become one. */

import { z } from 'zod';
import { accountability } from './accountability.ts';
import { realign } from './realign-schema.ts';
import { positiveInt, record } from './schema-parts.ts';

const mode = z.strictObject({
  kind: z
    .enum(['synchronous', 'buffered'])
    .default('synchronous')
    .describe(
      'synchronous: all owners of a round train from the same params. buffered (FedBuff): each owner trains from the latest params it met, slow ones hold nobody up; for `headwater serve` only.',
    ),
  bufferSize: positiveInt
    .optional()
    .describe(
      'buffered: so many accepted updates make the next params; `rounds` counts these. cohortSize owners train at any time.',
    ),
  maxStaleness: z
    .int()
    .nonnegative()
    .default(10)
    .describe('buffered: an update counts while its params are at most so many versions old.'),
  stalenessExponent: z
    .number()
    .nonnegative()
    .default(0.5)
    .describe('buffered: an update that is τ versions old counts (1 + τ)^−stalenessExponent.'),
});

export const federation = z.strictObject({
  method: record.default({ kind: 'fedavg' }).describe('The federated method.'),
  mode: mode.prefault({}).describe('How rounds and owners wait for each other.'),
  rounds: positiveInt,
  cohortSize: positiveInt.optional().describe('Owners sampled for each round. Default: all.'),
  selection: record
    .default({ kind: 'uniform' })
    .describe('How the owners of a round are chosen, where not all are asked.'),
  overSelection: z
    .number()
    .min(1)
    .default(1)
    .describe(
      'A deployment asks cohortSize · overSelection owners (rounded up) and counts the cohortSize that answer first. `headwater run`, where nobody is late, asks cohortSize.',
    ),
  quorum: positiveInt
    .optional()
    .describe(
      'Updates needed to close a round: the fewest that are ever averaged. Default: the cohort; buffered: bufferSize.',
    ),
  compression: record.default({ kind: 'none' }).describe('What the updates travel as.'),
  robust: record
    .optional()
    .describe(
      'What takes the place of the mean where some owners may send anything. For methods that average. Default: nothing; `none` is the same.',
    ),
  maxUpdateNorm: z
    .number()
    .positive()
    .optional()
    .describe('An update whose 2-norm is larger is refused. Default: any length.'),
  realign,
  ...accountability,
  localSteps: positiveInt.describe('Optimizer steps of each client in each round.'),
  localEpochs: z
    .number()
    .positive()
    .optional()
    .describe(
      'An owner takes no more steps in a round than so many passes over its examples, rounded up: owners with few take fewer than localSteps. Default: all take localSteps.',
    ),
  weighting: z
    .enum(['examples', 'tokens', 'uniform'])
    .default('examples')
    .describe('What a client counts by in the average.'),
  serverLearningRate: z.number().positive().default(1).describe('The averaged update is multiplied by this.'),
  fixedPoint: z
    .strictObject({
      fractionBits: z
        .int()
        .min(8)
        .max(40)
        .optional()
        .describe(
          'An update is rounded to multiples of 2^−fractionBits. Default: 30; with privacy.secureAggregation as many as 32-bit sums hold.',
        ),
      range: z
        .number()
        .positive()
        .optional()
        .describe(
          'Largest magnitude that can be represented; larger values are clamped, counted and reported. Default: 8; with privacy.secureAggregation 1.',
        ),
    })
    .prefault({})
    .describe('Updates are summed exactly, as integers, so that no order or retry changes a bit.'),
  earlyStopping: z
    .strictObject({
      patienceRounds: positiveInt.describe('Stop after so many validations without improvement.'),
      minDelta: z
        .number()
        .nonnegative()
        .default(0)
        .describe('What counts as an improvement of the validation loss.'),
    })
    .optional()
    .describe('Needs validation data. Default: all rounds are run.'),
  keepBest: z
    .boolean()
    .default(false)
    .describe('Keep the adapter of the round with the lowest validation loss instead of the last.'),
});
