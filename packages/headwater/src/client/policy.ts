/**
 * The owner's policy: what a run may be and what may leave. A list of plain limits, each absent one allows anything; a
 * manifest that breaks some is refused with all reasons. It reads neither files nor YAML.
 */

import { z } from 'zod';
import { formatBytes, parseBytes } from '../base/format.ts';
import { printable } from '../base/printable.ts';
import type { Manifest } from '../federation/wire/messages.ts';
import type { Policy } from './ports.ts';
import { type Terms, termsOf } from './terms.ts';

const limit = z.int().positive();
const names = z.array(z.string());

export const policyRules = z.strictObject({
  /** SHA-256 of base models (as `headwater inspect` prints them), or their names. */
  models: names.optional(),
  methods: names.optional(),
  tuning: names.optional(),
  /** Fewest updates in any average. */
  minCohort: limit.optional(),
  /** Mechanisms that must be switched on. */
  privacy: names.optional(),
  /** The coordinator must not see an update of its own: by masks of any kind, or of these. */
  secureAggregation: z
    .union([z.literal(true), z.array(z.enum(['two-server', 'secagg-plus'])).min(1)])
    .optional(),
  /** Public keys of helpers that may open sums of masks. */
  helpers: names.optional(),
  maxRounds: limit.optional(),
  /** Optimizer steps in one round. */
  maxLocalSteps: limit.optional(),
  maxThreads: limit.optional(),
  maxMemory: z
    .string()
    .refine((text) => parseBytes(text) !== undefined, 'expected a size such as 4 GB')
    .optional(),
  /** Figures that may be told; [] keeps all of them here. */
  metrics: names.optional(),
});

export type PolicyRules = z.infer<typeof policyRules>;

export const NO_LIMITS: PolicyRules = {};

export function createPolicy(given: PolicyRules): Policy {
  const { metrics } = given;
  return {
    accepts: (manifest) => reasonsAgainst(given, manifest, termsOf(manifest)).map(printable),
    mayLeave: (metric) => metrics === undefined || metrics.includes(metric),
  };
}

function reasonsAgainst(given: PolicyRules, manifest: Manifest, terms: Terms): string[] {
  const { source, digest, files } = manifest.model;
  const weights = files.filter(({ path }) => path.endsWith('.safetensors'));
  const weightBytes = weights.reduce((sum, { bytes }) => sum + bytes, 0);
  const maxBytes = given.maxMemory === undefined ? undefined : parseBytes(given.maxMemory);
  return [
    ...notAmong('base model', [digest, source], given.models),
    ...notAmong('method', [terms.method], given.methods),
    ...notAmong('tuning kind', [terms.tuning], given.tuning),
    ...(given.minCohort !== undefined && manifest.minCohort < given.minCohort
      ? [
          `averages of ${manifest.minCohort} updates may leave the coordinator; you ask for at least ${given.minCohort}`,
        ]
      : []),
    ...(given.privacy ?? [])
      .filter((name) => !manifest.privacy.includes(name))
      .map((name) => `the privacy mechanism "${name}" is not switched on (on: ${listed(manifest.privacy)})`),
    ...maskReasons(given, terms),
    ...tooMany('rounds', terms.rounds, given.maxRounds),
    ...tooMany('local steps in a round', terms.localSteps, given.maxLocalSteps),
    ...tooMany('threads', terms.threads, given.maxThreads),
    ...(maxBytes !== undefined && weightBytes > maxBytes
      ? [`the weights of the base model alone have ${formatBytes(weightBytes)}; you allow ${given.maxMemory}`]
      : []),
  ];
}

function maskReasons({ secureAggregation, helpers }: PolicyRules, terms: Terms): string[] {
  const { mode, helper } = terms.secureAggregation ?? {};
  const seen = 'the coordinator would see your update alone (no secure aggregation)';
  const wanted =
    secureAggregation === undefined
      ? []
      : mode === undefined
        ? [seen]
        : notAmong(
            'kind of secure aggregation',
            [mode],
            secureAggregation === true ? undefined : secureAggregation,
          );
  return [...wanted, ...(mode === 'two-server' ? notAmong('helper', [helper?.key], helpers) : [])];
}

function notAmong(
  what: string,
  values: readonly (string | undefined)[],
  allowed: readonly string[] | undefined,
): string[] {
  if (allowed === undefined || values.some((value) => value !== undefined && allowed.includes(value)))
    return [];
  const got = values.filter((value) => value !== undefined).join(', ');
  return [`the ${what} is ${got === '' ? 'not stated' : got}; you allow ${listed(allowed)}`];
}

function tooMany(what: string, value: number | undefined, max: number | undefined): string[] {
  if (max === undefined || (value !== undefined && value <= max)) return [];
  return [`it wants ${value ?? 'an unstated number of'} ${what}; you allow ${max}`];
}

function listed(items: readonly string[]): string {
  return items.length === 0 ? 'none' : items.join(', ');
}
