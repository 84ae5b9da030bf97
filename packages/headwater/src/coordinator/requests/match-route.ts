/** From method and path to a route and its checked parameters. */

import type { z } from 'zod';
import { PROTOCOL_VERSION } from '../../federation/wire/messages.ts';
import { Refusal } from '../../federation/wire/refusals.ts';
import { type RouteId, type RouteShape, routes } from '../../federation/wire/routes.ts';

export interface Match {
  readonly id: RouteId;
  readonly route: RouteShape;
  /** As they stand in the path. */
  readonly segments: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
}

const compiled = (Object.keys(routes) as RouteId[]).map((id) => ({
  id,
  route: routes[id] as RouteShape,
  parts: routes[id].path.split('/'),
}));

/** Longest path with query that any route needs. */
const MAX_PATH = 1000;

/** Throws `not-found`, `method-not-allowed`, `request-invalid`. */
export function matchRoute(method: string, target: string): Match {
  if (target.length > MAX_PATH) throw new Refusal('not-found', 'there is nothing at such a long path');
  const at = target.indexOf('?');
  const path = at < 0 ? target : target.slice(0, at);
  const given = path.split('/');
  const fitting = compiled.filter(({ parts }) => fits(parts, given));
  if (fitting.length === 0) throw nothingAt(path);
  const found = fitting.find(({ route }) => route.method === method);
  if (found === undefined)
    throw new Refusal('method-not-allowed', `use ${fitting.map(({ route }) => route.method).join(' or ')}`);
  const { id, route, parts } = found;
  return {
    id,
    route,
    segments: segmentsOf(parts, given),
    query: at < 0 ? {} : queryOf(target.slice(at + 1)),
  };
}

function nothingAt(path: string): Refusal {
  const [, version] = /^\/v(\d{1,4})\//.exec(path) ?? [];
  if (version === undefined || Number(version) === PROTOCOL_VERSION)
    return new Refusal('not-found', 'there is nothing at this path');
  return new Refusal('not-found', `this coordinator speaks protocol ${PROTOCOL_VERSION}, not ${version}`, {
    hint: 'Use versions of Headwater with the same protocol on both sides.',
  });
}

function fits(parts: readonly string[], given: readonly string[]): boolean {
  return parts.length === given.length && parts.every((part, i) => part.startsWith(':') || part === given[i]);
}

function segmentsOf(parts: readonly string[], given: readonly string[]): Record<string, string> {
  const named = parts.flatMap((part, i) => (part.startsWith(':') ? [[part.slice(1), given[i]!]] : []));
  return Object.fromEntries(named);
}

function queryOf(text: string): Record<string, string> {
  const query: Record<string, string> = Object.create(null);
  for (const [key, value] of new URLSearchParams(text)) {
    if (key in query) throw new Refusal('request-invalid', `"${key}" stands twice in the query`);
    query[key] = value;
  }
  return { ...query };
}

/** Throws `request-invalid` with the place and what was expected there. */
export function parsed<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const issues = result.error.issues.slice(0, 5);
  const lines = issues.map(({ path, message }) => `${[what, ...path].join('.')}: ${message}`);
  throw new Refusal('request-invalid', lines.join('; '));
}
