/**
 * The operator's API as data: one entry a route, from which requests are checked and the OpenAPI document is made. Routes
 * about runs that only read are also those of a local run's pages.
 */

import { z } from 'zod';
import { name } from '../../federation/wire/messages.ts';

export interface AdminRoute {
  readonly method: 'GET' | 'POST' | 'DELETE';
  /** With `:parameters`. */
  readonly path: string;
  readonly summary: string;
  readonly params?: z.ZodObject;
  readonly query?: z.ZodObject;
  readonly body?: z.ZodType;
  /** What the answer holds, in words. Its types are those of `ports.ts` and `runs/view/rows.ts`. */
  readonly answer: string;
}

const inRun = z.object({ run: name });
const ofOwner = inRun.extend({ owner: name });
const reason = z.strictObject({ reason: z.string().max(1000).optional() }).optional();
const seq = z.coerce.number().int().min(0);
const tokenBody = z
  .strictObject({
    owner: name.nullable().default(null),
    uses: z.int().min(1).max(1_000_000).default(1),
    ttlSeconds: z
      .number()
      .positive()
      .max(10 * 366 * 86_400)
      .default(7 * 86_400),
  })
  .refine(({ owner, uses }) => owner === null || uses === 1, 'a token for one owner has one use');
const recipeText = z.string().max(1 << 20);
const newRun = z.union([
  z.strictObject({ run: name, recipe: z.record(z.string(), z.unknown()) }),
  z.strictObject({ text: recipeText }),
]);
const DONE = '`{ done: true }`';

export const readingRoutes = {
  about: {
    method: 'GET',
    path: '/admin/about',
    summary: 'What answers here, and where clients reach it.',
    answer: '`{ kind, url, version }`',
  },
  runs: { method: 'GET', path: '/admin/runs', summary: 'All runs, newest first.', answer: '`{ runs }`' },
  run: {
    method: 'GET',
    path: '/admin/runs/:run',
    summary: 'Where a run stands.',
    params: inRun,
    answer: 'A run’s summary.',
  },
  view: {
    method: 'GET',
    path: '/admin/runs/:run/view',
    summary:
      'Rounds, owners, evaluations and totals as rows; with `Accept: text/event-stream` as they change, from `after` or Last-Event-ID on.',
    params: inRun,
    query: z.object({ after: seq.default(0) }),
    answer: '`{ summary, seq, frame, totals, rounds, owners, evaluations, updates }`',
  },
  updates: {
    method: 'GET',
    path: '/admin/runs/:run/updates',
    summary: 'Updates of a round or an owner, accepted or not.',
    params: inRun,
    query: z
      .object({ round: z.coerce.number().int().min(0).optional(), owner: name.optional() })
      .refine(({ round, owner }) => round !== undefined || owner !== undefined, 'say which round or owner'),
    answer: '`{ updates }`',
  },
  journal: {
    method: 'GET',
    path: '/admin/runs/:run/journal',
    summary: 'Events as the journal holds them, page by page.',
    params: inRun,
    query: z.object({ after: seq.default(0), limit: z.coerce.number().int().min(1).max(500).default(50) }),
    answer: '`{ entries: [{ seq, event }], last }`',
  },
  recipe: {
    method: 'GET',
    path: '/admin/runs/:run/recipe',
    summary: 'The recipe as resolved.',
    params: inRun,
    answer: '`{ text, recipe }`',
  },
  clients: {
    method: 'GET',
    path: '/admin/runs/:run/clients',
    summary: 'Who joined: standing, software, when it was heard.',
    params: inRun,
    answer: '`{ clients }`',
  },
  results: {
    method: 'GET',
    path: '/admin/runs/:run/result',
    summary: 'Files of the result, as far as they are written.',
    params: inRun,
    answer: '`{ files: [{ path, bytes }] }`',
  },
  result: {
    method: 'GET',
    path: '/admin/runs/:run/result/*',
    summary: 'One file of the result.',
    params: inRun,
    answer: 'The file.',
  },
} as const satisfies Record<string, AdminRoute>;

export const operatorRoutes = {
  state: {
    method: 'GET',
    path: '/admin/runs/:run/state',
    summary: 'The state of the round machine.',
    params: inRun,
    answer: '`{ state }`; null while the run waits for owners.',
  },
  manifest: {
    method: 'GET',
    path: '/admin/runs/:run/manifest',
    summary: 'What clients agree to, signed.',
    params: inRun,
    answer: 'The signed manifest.',
  },
  log: {
    method: 'GET',
    path: '/admin/runs/:run/log',
    summary:
      'Entries of the transparency log as they were hashed, page by page, and its signed head. Names owners: for whoever may see the run.',
    params: inRun,
    query: z.object({
      after: seq.default(0),
      limit: z.coerce.number().int().min(1).max(10_000).default(1000),
    }),
    answer: '`{ run, operatorKey, head: { size, root, signature }, entries: [{ seq, text }] }`',
  },
  events: {
    method: 'GET',
    path: '/admin/runs/:run/events',
    summary:
      'Events after `after` (with `Accept: text/event-stream`: as they come, also from Last-Event-ID on).',
    params: inRun,
    query: z.object({ after: seq.default(0) }),
    answer: '`{ events }`',
  },
  createRun: {
    method: 'POST',
    path: '/admin/runs',
    summary: 'Begin a run: a resolved recipe under a name, or a recipe’s text under its own name.',
    body: newRun,
    answer: '201, `{ run }`',
  },
  pause: {
    method: 'POST',
    path: '/admin/runs/:run/pause',
    summary: 'Hand out no work until it is resumed.',
    params: inRun,
    body: reason,
    answer: DONE,
  },
  resume: { method: 'POST', path: '/admin/runs/:run/resume', summary: 'Go on.', params: inRun, answer: DONE },
  stop: {
    method: 'POST',
    path: '/admin/runs/:run/stop',
    summary: 'Close the open round, publish, open no other.',
    params: inRun,
    body: reason,
    answer: DONE,
  },
  cancel: {
    method: 'POST',
    path: '/admin/runs/:run/cancel',
    summary: 'End the run without a result.',
    params: inRun,
    body: reason,
    answer: DONE,
  },
  pardon: {
    method: 'POST',
    path: '/admin/runs/:run/owners/:owner/pardon',
    summary: 'Ask an owner again that was excluded.',
    params: ofOwner,
    answer: DONE,
  },
  tokens: {
    method: 'GET',
    path: '/admin/runs/:run/tokens',
    summary: 'Join tokens, without their secrets.',
    params: inRun,
    answer: '`{ tokens }`',
  },
  createToken: {
    method: 'POST',
    path: '/admin/runs/:run/tokens',
    summary: 'Invite. The secret is told once.',
    params: inRun,
    body: tokenBody.prefault({}),
    answer: '201, `{ id, text }`',
  },
  revokeToken: {
    method: 'DELETE',
    path: '/admin/tokens/:id',
    summary: 'Nobody joins with it any more.',
    params: z.object({ id: z.string().regex(/^[0-9a-f]{16}$/) }),
    answer: DONE,
  },
  revokeClient: {
    method: 'POST',
    path: '/admin/clients/:id/revoke',
    summary: 'Its key is not taken any more.',
    params: z.object({ id: z.string().regex(/^[0-9a-f]{32}$/) }),
    answer: DONE,
  },
  recipes: {
    method: 'GET',
    path: '/admin/recipes',
    summary: 'Recipes to begin with, and the JSON Schema of recipes.',
    answer: '`{ recipes: [{ name, description, text }], schema }`',
  },
  checkRecipe: {
    method: 'POST',
    path: '/admin/recipes/check',
    summary: 'All mistakes of a recipe’s text, each with its place.',
    body: z.strictObject({ text: recipeText }),
    answer: '`{ mistakes: [{ path, line, column, message }] }`',
  },
} as const satisfies Record<string, AdminRoute>;

export const sessionRoutes = {
  session: {
    method: 'GET',
    path: '/admin/session',
    summary: 'Whether this browser is signed in.',
    answer: '`{ signedIn }`',
  },
  signIn: {
    method: 'POST',
    path: '/admin/session',
    summary: 'Exchange the admin token for a session cookie.',
    body: z.strictObject({ token: z.string().min(1).max(200) }),
    answer: '`{ signedIn: true }` and Set-Cookie',
  },
  signOut: {
    method: 'DELETE',
    path: '/admin/session',
    summary: 'Forget this browser.',
    answer: '`{ signedIn: false }`',
  },
} as const satisfies Record<string, AdminRoute>;
