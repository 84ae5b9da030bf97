/** The training objectives that come with Headwater, by id. */

import { dpo } from './dpo.ts';
import { ipo } from './ipo.ts';
import { languageModelling } from './language-modelling.ts';
import type { Objective } from './objective.ts';

export const objectives: ReadonlyMap<string, Objective<unknown>> = new Map<string, Objective<unknown>>(
  [languageModelling, dpo, ipo].map((objective) => [objective.id, objective as Objective<unknown>]),
);
