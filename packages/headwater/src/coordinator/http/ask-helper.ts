/** Asking a helper over HTTP: plain HTTP goes to this machine only, unless it is allowed. */

import { Agent, EnvHttpProxyAgent, request } from 'undici';
import { HeadwaterError } from '../../base/errors.ts';
import { isLoopback } from '../../base/hosts.ts';
import { DRAW_HEADER } from '../../federation/wire/helper.ts';
import type { CoordinatorParts } from '../ports.ts';

const CONNECT_TIMEOUT_MS = 15_000;
/** A helper opens every seed before it answers. */
const HEADERS_TIMEOUT_MS = 300_000;

/** `ca`: PEM of the authority that signed the helper's certificate; default: the system's. */
export function createAskHelper(options: {
  readonly ca?: string | undefined;
  readonly insecure: boolean;
}): NonNullable<CoordinatorParts['askHelper']> {
  const { ca, insecure } = options;
  const tls = ca === undefined ? {} : { ca };
  const how = { headersTimeout: HEADERS_TIMEOUT_MS, connect: { timeout: CONNECT_TIMEOUT_MS, ...tls } };
  const near = new Agent(how);
  const far = new EnvHttpProxyAgent({ ...how, requestTls: tls });
  return async (url, body) => {
    const { protocol, hostname, origin, pathname } = new URL(url);
    const local = isLoopback(hostname.replace(/^\[|\]$/g, ''));
    if (protocol === 'http:' && !local && !insecure)
      throw new HeadwaterError('OPTION_INVALID', `${origin} is not encrypted`, {
        hint: 'Give the helper a certificate, or allow plain HTTP with --insecure.',
      });
    const answer = await request(`${origin}${pathname.replace(/\/+$/, '')}/v1/unmask`, {
      dispatcher: local ? near : far,
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
