/** Asking a helper over HTTP: plain HTTP goes to this machine only, unless it is allowed. */

import { Agent, type Dispatcher, EnvHttpProxyAgent, request } from 'undici';
import { z } from 'zod';
import { HeadwaterError } from '../../base/errors.ts';
import { isLoopback } from '../../base/hosts.ts';
import { DRAW_HEADER } from '../../federation/wire/helper.ts';
import type { CoordinatorParts } from '../ports.ts';

const CONNECT_TIMEOUT_MS = 15_000;
/** A helper opens every seed before it answers. */
const HEADERS_TIMEOUT_MS = 300_000;
const KEY_TIMEOUT_MS = 15_000;

export interface AskHelperOptions {
  /** PEM of the authority that signed the helper's certificate; default: the system's. */
  readonly ca?: string | undefined;
  readonly insecure: boolean;
}

export function createAskHelper(options: AskHelperOptions): NonNullable<CoordinatorParts['askHelper']> {
  const way = wayTo(options);
  return async (url, body) => {
    const { address, dispatcher } = way(url);
    const answer = await request(`${address}/v1/unmask`, {
      dispatcher,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    const draw = answer.headers[DRAW_HEADER];
    return {
      status: answer.statusCode,
      draw: typeof draw === 'string' ? draw : undefined,
      body: answer.body,
    };
  };
}

const keyAnswer = z.object({ key: z.string().max(100) });

/** Its public key, base64url. Throws OPTION_INVALID for an address that is not encrypted, and what a network throws. */
export async function askHelperKey(url: string, options: AskHelperOptions): Promise<string> {
  const { address, dispatcher } = wayTo(options)(url);
  const signal = AbortSignal.timeout(KEY_TIMEOUT_MS);
  const answer = await request(`${address}/v1/key`, { dispatcher, signal });
  const { data } = keyAnswer.safeParse(await answer.body.json().catch(() => undefined));
  if (data === undefined) throw new Error(`what answers is no helper (HTTP ${answer.statusCode})`);
  return data.key;
}

type WayTo = (url: string) => { readonly address: string; readonly dispatcher: Dispatcher };

function wayTo({ ca, insecure }: AskHelperOptions): WayTo {
  const tls = ca === undefined ? {} : { ca };
  const how = { headersTimeout: HEADERS_TIMEOUT_MS, connect: { timeout: CONNECT_TIMEOUT_MS, ...tls } };
  const near = new Agent(how);
  const far = new EnvHttpProxyAgent({ ...how, requestTls: tls });
  return (url) => {
    const { protocol, hostname, origin, pathname } = new URL(url);
    const local = isLoopback(hostname.replace(/^\[|\]$/g, ''));
    if (protocol === 'http:' && !local && !insecure)
      throw new HeadwaterError('OPTION_INVALID', `${origin} is not encrypted`, {
        hint: 'Give the helper a certificate, or allow plain HTTP with --insecure.',
      });
    return { address: `${origin}${pathname.replace(/\/+$/, '')}`, dispatcher: local ? near : far };
  };
}
