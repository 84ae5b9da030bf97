/** What a client reads from the recipe of a manifest without being able to carry it out: the numbers that an owner agrees to. */

import { z } from 'zod';
import type { Manifest } from '../federation/wire/messages.ts';

const count = z.int().positive();
const kind = z.object({ kind: z.string() });

/** The recipe's own schema checks it whole when a trainer opens it; here only what is read must be right. */
const terms = z.object({
  threadsPerSession: count.optional(),
  tuning: kind.optional(),
  federation: z
    .object({
      method: kind.optional(),
      mode: z.object({ kind: z.string().optional() }).optional(),
      rounds: count.optional(),
      localSteps: count.optional(),
      weighting: z.string().optional(),
    })
    .optional(),
  privacy: z
    .object({
      secureAggregation: z
        .object({
          mode: z.string(),
          helper: z.object({ url: z.string(), key: z.string() }).optional(),
          groupSize: count.optional(),
          adversaries: z.number().optional(),
          dropouts: z.number().optional(),
        })
        .optional(),
    })
    .optional(),
});

/** How updates are masked, as the operator signed it. */
export type AgreedMasking = NonNullable<NonNullable<z.infer<typeof terms>['privacy']>['secureAggregation']>;

export interface Terms {
  readonly method: string | undefined;
  readonly tuning: string | undefined;
  readonly rounds: number | undefined;
  readonly localSteps: number | undefined;
  readonly threads: number | undefined;
  /** Owners train from whatever version they met. */
  readonly buffered: boolean;
  readonly weighting: string | undefined;
  /** Undefined: the coordinator sees each update. */
  readonly secureAggregation: AgreedMasking | undefined;
}

/** Undefined where the recipe does not say, or not in this form. */
export function termsOf(manifest: Manifest): Terms {
  const { federation, tuning, threadsPerSession, privacy } = terms.safeParse(manifest.recipe).data ?? {};
  return {
    method: federation?.method?.kind,
    tuning: tuning?.kind,
    rounds: federation?.rounds,
    localSteps: federation?.localSteps,
    threads: threadsPerSession,
    buffered: federation?.mode?.kind === 'buffered',
    weighting: federation?.weighting,
    secureAggregation: privacy?.secureAggregation,
  };
}
