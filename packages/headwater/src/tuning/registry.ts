/** The tuning kinds that come with Headwater, by id. A plug-in's kinds join a copy of this map. */

import { bitfit } from './bitfit.ts';
import { bottleneck } from './bottleneck.ts';
import { dora } from './dora.ts';
import { full } from './full.ts';
import { head } from './head.ts';
import { ia3 } from './ia3.ts';
import type { TuningKind } from './kind.ts';
import { layers } from './layers.ts';
import { lora } from './lora.ts';
import { pTuning } from './p-tuning.ts';
import { prefixTuning } from './prefix-tuning.ts';
import { promptTuning } from './prompt-tuning.ts';

export const tuningKinds: ReadonlyMap<string, TuningKind<unknown>> = new Map<string, TuningKind<unknown>>(
  [lora, dora, ia3, bottleneck, bitfit, layers, head, promptTuning, prefixTuning, pTuning, full].map(
    (kind) => [kind.id, kind as TuningKind<unknown>],
  ),
);
