/**
 * What of an event goes into the transparency log: who took part, which bytes counted, what was released. Named key by key, so that
 * nothing that an event carries later gets in by mistake: no losses, no reasons, no times, no figures of single owners.
 */

import { digestJson } from '../../base/canonical.ts';
import type { RunEvent } from '../events.ts';

export type Public =
  | null
  | boolean
  | number
  | string
  | readonly Public[]
  | { readonly [key: string]: Public };

/** Keys that are told as they are, by type of event. */
const TOLD: { readonly [T in RunEvent['type']]?: readonly string[] } = {
  'update-received': ['round', 'owner', 'update'],
  'client-failed': ['round', 'owner'],
  deadline: ['round', 'extension'],
  'owner-left': ['owner'],
  'owner-pardoned': ['owner'],
  'owner-evaluated': ['evaluation', 'owner'],
  'evaluation-deadline': ['evaluation'],
  aggregated: ['round', 'membership', 'params', 'serverState'],
  'arm-trained': ['arm', 'params'],
  'arm-failed': ['arm'],
  unlearned: ['owner', 'method', 'exact', 'before', 'after', 'receipt', 'operatorKey', 'signature'],
};

/**
 * A function of the event as the journal holds it, for ever: a changed rule would be another log. Types without a rule of their own
 * (rows of a ledger) are told by their digest, without what shells observed.
 */
export function publicPart(event: RunEvent): Public {
  const { type } = event;
  switch (event.type) {
    case 'created': {
      const { plan } = event;
      const { initialParams, baseModel } = plan;
      return { type, initialParams, baseModel, plan: digestJson(plan) };
    }
    case 'update-received':
      return { ...told(event), counted: event.check.ok };
    case 'owner-joined':
      return { type, owner: event.counts.owner, numExamples: event.counts.numExamples };
    case 'aggregated':
      return {
        ...told(event),
        report: digestJson(event.report),
        ...(event.excluded === undefined ? {} : { excluded: digestJson(event.excluded) }),
      };
    case 'attempt-abandoned':
      // A round without a release is told; anything else of an attempt concerns nobody outside.
      if (event.passedOver !== true) return byDigest(event);
      return { type, round: event.round, attempt: event.attempt, passedOver: true };
    case 'evaluated':
      return { type, evaluation: event.evaluation, result: digestJson(event.result) };
    case 'cohort-drawn':
      // Who was drawn is a secret, and a digest of few names would be none.
      return { type, round: event.round };
    case 'resumed':
    case 'paused':
    case 'continued':
    case 'stopping':
    case 'cancelled':
    case 'published':
      return { type };
    default:
      return event.type in TOLD ? told(event) : byDigest(event);
  }
}

function told(event: RunEvent): { readonly [key: string]: Public } {
  const values = event as unknown as Readonly<Record<string, Public>>;
  const keys = TOLD[event.type] ?? [];
  return Object.fromEntries(['type', ...keys].map((key) => [key, values[key] ?? null]));
}

/** With round and owner, where it has them: whoever it concerns shall find it. */
function byDigest(event: object): Public {
  const { observed: _observed, ...rest } = event as { readonly observed?: unknown } & Record<string, unknown>;
  const { type, round, owner } = rest as { type: string; round?: number; owner?: string };
  return {
    type,
    ...(round === undefined ? {} : { round }),
    ...(owner === undefined ? {} : { owner }),
    event: digestJson(rest),
  };
}
