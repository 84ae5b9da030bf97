/**
 * Certificates for a network without a public name: a small certificate authority and a server certificate signed by it,
 * as PEM in memory. It writes no files and serves nothing; where there is a public name, an ACME client does it better.
 */

import { isIP } from 'node:net';
import { generate } from 'selfsigned';
import { HeadwaterError } from '../../base/errors.ts';

export interface KeyAndCertificate {
  /** PKCS #8, PEM. */
  readonly key: string;
  /** X.509, PEM. */
  readonly cert: string;
}

const DAY_MS = 24 * 3600 * 1000;
/** A clock of a client may be behind ours. */
const BACKDATED_MS = DAY_MS;

const CURVE = { keyType: 'ec', curve: 'P-256', algorithm: 'sha256' } as const;

/** An authority that may sign servers, and no further authorities. */
export async function makeAuthority(nowMs: number, days: number): Promise<KeyAndCertificate> {
  const made = await generate([{ name: 'commonName', value: 'Headwater certificate authority' }], {
    ...CURVE,
    ...validity(nowMs, days),
    extensions: [
      { name: 'basicConstraints', cA: true, pathLenConstraint: 0, critical: true },
      { name: 'keyUsage', keyCertSign: true, cRLSign: true, critical: true },
    ],
  });
  return { key: made.private, cert: made.cert };
}

/** A certificate for these DNS names and IP addresses. Throws OPTION_INVALID for anything else. */
export async function makeServerCertificate(
  authority: KeyAndCertificate,
  hosts: readonly string[],
  nowMs: number,
  days: number,
): Promise<KeyAndCertificate> {
  const altNames = hosts.map(altNameOf);
  const made = await generate([{ name: 'commonName', value: 'Headwater coordinator' }], {
    ...CURVE,
    ...validity(nowMs, days),
    ca: authority,
    extensions: [
      { name: 'basicConstraints', cA: false, critical: true },
      { name: 'keyUsage', digitalSignature: true, critical: true },
      { name: 'extKeyUsage', serverAuth: true },
      { name: 'subjectAltName', altNames },
    ],
  });
  return { key: made.private, cert: made.cert };
}

function validity(nowMs: number, days: number): { notBeforeDate: Date; notAfterDate: Date } {
  return { notBeforeDate: new Date(nowMs - BACKDATED_MS), notAfterDate: new Date(nowMs + days * DAY_MS) };
}

const LABEL = '[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?';
const DNS_NAME = new RegExp(`^(?:\\*\\.)?${LABEL}(?:\\.${LABEL})*$`);

function altNameOf(host: string): { type: 2; value: string } | { type: 7; ip: string } {
  if (isIP(host) !== 0) return { type: 7, ip: host };
  const name = host.toLowerCase();
  if (name.length <= 253 && DNS_NAME.test(name)) return { type: 2, value: name };
  throw new HeadwaterError('OPTION_INVALID', `"${host}" is neither a host name nor an IP address`, {
    hint: 'Give what clients will write into the address, without https:// and port: coordinator.lan,192.168.1.10',
  });
}
