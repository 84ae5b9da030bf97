/**
 * The experiment file: one base recipe, what its arms change, and the seeds. It says nothing of what a recipe may contain;
 * every cell is checked as the recipe that it is.
 */

import { z } from 'zod';

const settings = z
  .record(z.string(), z.unknown())
  .default({})
  .describe('Keys of the recipe as paths (`federation.localSteps`) and their values, as with --set.');

const arm = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/, 'letters, digits, dots, dashes')
    .describe('Name in tables, and of the folder with its runs.'),
  set: settings,
});

export const experimentShape = z.strictObject({
  version: z.literal(1).default(1),
  name: z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]*$/, 'lower-case letters, digits and dashes')
    .describe('Also the name of the folder.'),
  description: z.string().optional(),
  base: z.string().describe('Recipe, relative to this file.'),
  set: settings.describe('What every cell changes in the base.'),
  arms: z
    .array(arm)
    .min(1)
    .optional()
    .describe('What is compared; the first is the one others are held against.'),
  grid: z
    .record(z.string(), z.array(z.unknown()).min(1))
    .optional()
    .describe('Lists of values by key: each arm runs with each combination.'),
  seeds: z.array(z.int().nonnegative()).min(1).default([0, 1, 2]).describe('Each arm runs once with each.'),
  baselines: z
    .enum(['none', 'first-arm', 'every-arm'])
    .default('first-arm')
    .describe(
      'Where the baselines of the base recipe (local-only, centralised) are trained. They do not depend on the method; arms that differ in data or tuning need their own.',
    ),
});

export type Experiment = z.infer<typeof experimentShape>;
