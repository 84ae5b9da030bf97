/**
 * Events as earlier versions wrote them → events of this one, on reading; what is stored stays as it is. Version 0.1 journals
 * had no pace, no codes of rejections, and recipes without the keys of deployments.
 */

import type { RunEvent } from '../federation/events.ts';
import { type RunPlan, withPace } from '../federation/plan.ts';
import { recipeShape } from '../recipe/schema.ts';
import type { Json } from '../storage/journal.ts';

export function upgraded(stored: Json): RunEvent {
  const event = stored as unknown as RunEvent;
  if (event.type === 'created')
    return { ...event, plan: planOf(event.plan), provenance: provenanceOf(event.provenance) };
  if (event.type !== 'update-received' || event.check.ok || event.check.code !== undefined) return event;
  // The word was not kept; its reason was.
  const { reason } = event.check as { readonly reason: string };
  return { ...event, check: { ok: false, code: 'format', reason } };
}

function planOf(plan: Omit<RunPlan, 'pace'> & Partial<Pick<RunPlan, 'pace'>>): RunPlan {
  return plan.pace === undefined ? withPace(plan) : { ...plan, pace: plan.pace };
}

/** Keys that came later get their defaults, so that a run is not held to be another one for lacking them. */
function provenanceOf(provenance: unknown): unknown {
  const { recipe } = (provenance ?? {}) as { readonly recipe?: unknown };
  const parsed = recipeShape.safeParse(recipe);
  return parsed.success ? { ...(provenance as object), recipe: parsed.data } : provenance;
}
