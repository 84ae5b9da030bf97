/** The tuning kinds that come with Headwater, by id. A plug-in's kinds join a copy of this map. */

import { dora } from './dora.ts';
import { full } from './full.ts';
import { ia3 } from './ia3.ts';
import type { TuningKind } from './kind.ts';
import { lora } from './lora.ts';

export const tuningKinds: ReadonlyMap<string, TuningKind<unknown>> = new Map<string, TuningKind<unknown>>(
  [lora, dora, ia3, full].map((kind) => [kind.id, kind as TuningKind<unknown>]),
);
