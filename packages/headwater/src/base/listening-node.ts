/** What processes that listen for others ask first: encryption where a network lies between, and the files that it needs. */

import { readFileSync } from 'node:fs';
import { HeadwaterError } from './errors.ts';
import { isLoopback } from './hosts.ts';
import { storageError } from './io-errors.ts';

export interface Listening {
  readonly host: string;
  /** PEM files; both or none. */
  readonly tlsCert?: string | undefined;
  readonly tlsKey?: string | undefined;
  /** Plain HTTP to other machines. */
  readonly insecure: boolean;
}

/** Throws OPTION_INVALID. */
export function checkListening({ host, tlsCert, tlsKey, insecure }: Listening): void {
  if ((tlsCert === undefined) !== (tlsKey === undefined))
    throw new HeadwaterError('OPTION_INVALID', 'a certificate needs its key, and a key its certificate', {
      hint: 'Give both --tls-cert and --tls-key, or neither.',
    });
  if (tlsCert !== undefined || insecure || isLoopback(host)) return;
  throw new HeadwaterError(
    'OPTION_INVALID',
    `plain HTTP on ${host} could be read and changed by anybody in between`,
    {
      hint: 'Give --tls-cert and --tls-key (`headwater certificates` makes them), put a TLS proxy in front of 127.0.0.1, or allow it with --insecure.',
    },
  );
}

/** Throws STORAGE_FAILED. */
export function readPem(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw storageError(cause, 'read the certificate or key', file);
  }
}
