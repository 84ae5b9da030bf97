/** The robust rules and the steps before them that come with Headwater, by id. A plug-in’s join a copy of these maps. */

import { bulyan } from './bulyan.ts';
import { centredClipping } from './centred-clipping.ts';
import { dnc } from './dnc.ts';
import { fltrust } from './fltrust.ts';
import { foolsGold } from './foolsgold.ts';
import { geometricMedian } from './geometric-median.ts';
import { krum } from './krum.ts';
import { meanAroundMedian } from './mean-around-median.ts';
import { median } from './median.ts';
import { minimumDiameter } from './minimum-diameter.ts';
import { multiKrum } from './multi-krum.ts';
import { none } from './none.ts';
import { normBound } from './norm-bound.ts';
import { arc } from './pre-aggregation/arc.ts';
import { bucketing } from './pre-aggregation/bucketing.ts';
import { nnm } from './pre-aggregation/nnm.ts';
import type { PreAggregation, RobustRule } from './rule.ts';
import { trimmedMean } from './trimmed-mean.ts';

export const robustRules: ReadonlyMap<string, RobustRule<unknown>> = new Map(
  [
    none,
    median,
    trimmedMean,
    meanAroundMedian,
    krum,
    multiKrum,
    bulyan,
    minimumDiameter,
    geometricMedian,
    centredClipping,
    normBound,
    foolsGold,
    dnc,
    fltrust,
  ].map((rule) => [rule.id, rule as unknown as RobustRule<unknown>]),
);

export const preAggregations: ReadonlyMap<string, PreAggregation<unknown>> = new Map(
  [nnm, bucketing, arc].map((step) => [step.id, step as unknown as PreAggregation<unknown>]),
);
