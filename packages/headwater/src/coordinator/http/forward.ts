/** Requests to the process that leads a run, over HTTP. One hop: a process that is asked in vain says so. */

import { Readable } from 'node:stream';
import { Agent, request as send } from 'undici';
import { LIMITS } from '../../federation/wire/messages.ts';
import type { CoordinatorParts } from '../ports.ts';

/** A process is named by the address where others reach it, and something that is new with every start. */
export function nodeName(address: string, suffix: string): string {
  return `${address}#${suffix}`;
}

const FORWARDED = 'headwater-forwarded';
/** Of one hop. */
const DROPPED = new Set(['host', 'connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'te', 'expect']);

/** `ca`: PEM of the authority that signed the others' certificates; default: the system's. */
export function createForward(ca: string | undefined): NonNullable<CoordinatorParts['forward']> {
  const dispatcher = new Agent({
    headersTimeout: (LIMITS.maxWaitSeconds + 10) * 1000,
    connect: { timeout: 5_000, ...(ca === undefined ? {} : { ca }) },
  });
  return async (node, { method, path, headers, body, signal }) => {
    if (headers[FORWARDED] !== undefined) throw new Error('the request was forwarded before');
    const kept = Object.entries(headers).filter(([name, value]) => !DROPPED.has(name) && value !== undefined);
    const answer = await send(`${node.slice(0, node.indexOf('#'))}${path}`, {
      dispatcher,
      method: method as 'GET' | 'POST' | 'PUT',
      headers: { ...(Object.fromEntries(kept) as Record<string, string>), [FORWARDED]: '1' },
      signal,
      ...(method === 'GET' ? {} : { body: Readable.from(body, { objectMode: false }) }),
    });
    const flat = Object.entries(answer.headers).filter(([name]) => !DROPPED.has(name));
    return {
      status: answer.statusCode,
      headers: Object.fromEntries(flat.map(([name, value]) => [name, String(value)])),
      body: answer.body,
    };
  };
}
