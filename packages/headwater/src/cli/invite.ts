/** Join tokens for the owners that a recipe names, and the very lines that they type. */

import type { Server } from '../coordinator/serve.ts';
import type { Recipe } from '../recipe/schema.ts';

const TOKEN_DAYS = 7;

export interface InviteOptions {
  /** The run was there before: its tokens were shown then and are not known any more. */
  readonly before: boolean;
  readonly tls: boolean;
}

export async function inviteOwners(
  server: Server,
  { name: run, deployment: { owners } }: Recipe,
  { before, tls }: InviteOptions,
): Promise<string[]> {
  const { operator } = server;
  const joined = new Set((await operator.clients(run)).map(({ owner }) => owner));
  if (owners === undefined)
    return joined.size > 0 ? [] : ['invite owners with:', `  headwater tokens ${run} --create --owner NAME`];
  const missing = owners.filter((owner) => !joined.has(owner));
  if (missing.length === 0) return [];
  if (before)
    return [
      `not joined yet: ${missing.join(', ')}. A lost invitation is replaced with:`,
      `  headwater tokens ${run} --create --owner NAME`,
    ];
  const lines = [`on the owners' machines (each invitation works once, for ${TOKEN_DAYS} days):`];
  for (const owner of missing) {
    const { text } = await operator.createToken({ run, owner, uses: 1, ttlMs: TOKEN_DAYS * 86_400_000 });
    lines.push(`  # ${owner}`, `  ${joinLine(server.url, text, tls)}`);
  }
  return lines;
}

export function joinLine(url: string, token: string, tls: boolean): string {
  return `headwater join '${url}/#${token}' --data FILE${tls ? ' --ca ca.pem' : ''}`;
}
