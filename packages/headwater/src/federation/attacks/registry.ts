/** The simulated attacks that come with Headwater, by id. A plug-in’s join a copy of this map. */

import { alie } from './alie.ts';
import type { Attack } from './attack.ts';
import { backdoor } from './backdoor.ts';
import { freeRider } from './free-rider.ts';
import { gaussian } from './gaussian.ts';
import { ipm } from './ipm.ts';
import { labelFlip } from './label-flip.ts';
import { minMax } from './min-max.ts';
import { minSum } from './min-sum.ts';
import { modelReplacement } from './model-replacement.ts';
import { notANumber } from './not-a-number.ts';
import { safetyPoisoning } from './safety-poisoning.ts';
import { signFlip } from './sign-flip.ts';

export const attacks: ReadonlyMap<string, Attack<unknown>> = new Map(
  [
    labelFlip,
    signFlip,
    gaussian,
    alie,
    ipm,
    minMax,
    minSum,
    modelReplacement,
    backdoor,
    safetyPoisoning,
    freeRider,
    notANumber,
  ].map((attack) => [attack.id, attack as unknown as Attack<unknown>]),
);
