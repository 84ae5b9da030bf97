/**
 * What errors of PostgreSQL and of its driver mean: try again, give up with CONNECTION_FAILED, or STORAGE_FAILED. The codes
 * are SQLSTATEs (PostgreSQL documentation, appendix A) and those of Node's sockets. It sends nothing.
 */

import { HeadwaterError, messageOf } from '../../base/errors.ts';
import { systemErrorCode } from '../../base/io-errors.ts';

/** Codes after which the same statement may succeed, whole classes by their first two characters. */
const TRANSIENT = new Set([
  '40001', // serialization failure
  '40P01', // deadlock
  '55006', // object in use
  '57P01', // admin shutdown
  '57P02', // crash shutdown
  '57P03', // cannot connect now: starting or recovering
  '57P05', // idle session timeout
  '53300', // too many connections
  '25006', // read only: a failover made this server a standby, another connection reaches the new primary
]);

const SOCKET = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'ENOENT', // the unix socket of a server that is restarting
]);

/** The driver gives these no code. */
const DRIVER =
  /^(Connection terminated|Client has encountered a connection error|Client was closed|timeout e|Query read t)/;

const HINTS: Readonly<Record<string, string>> = {
  '28P01': 'Check the password (PGPASSWORD and ~/.pgpass are read too).',
  '28000': 'Check the user and the server’s pg_hba.conf.',
  '3D000': 'Create the database first: createdb NAME.',
  '42501': 'Give the user the right to create a schema in this database: GRANT CREATE ON DATABASE … TO ….',
  '53100': 'The database server’s disk is full. Free space there.',
  ENOTFOUND: 'Check the host name.',
};

export function isTransient(error: unknown): boolean {
  if (error instanceof HeadwaterError) return false;
  const code = systemErrorCode(error);
  return TRANSIENT.has(code) || isLostConnection(error);
}

/** True when nobody knows whether the statement was carried out. */
function isLostConnection(error: unknown): boolean {
  const code = systemErrorCode(error);
  return code.startsWith('08') || SOCKET.has(code) || DRIVER.test(messageOf(error));
}

/** The typed error for what could not be mended by trying again; a HeadwaterError passes through unchanged. */
export function databaseError(error: unknown, action: string, shown: string): HeadwaterError {
  if (error instanceof HeadwaterError) return error;
  const code = systemErrorCode(error);
  const unreachable = isTransient(error) || code === 'ENOTFOUND' || code.startsWith('28') || code === '3D000';
  const hint = HINTS[code] ?? (unreachable ? 'Check that the server runs and can be reached.' : undefined);
  return new HeadwaterError(
    unreachable ? 'CONNECTION_FAILED' : 'STORAGE_FAILED',
    `cannot ${action}: ${reasonOf(error)}`,
    { where: shown, cause: error, ...(hint === undefined ? {} : { hint }) },
  );
}

/** Node gathers the failures of several addresses of one host under an empty message. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.message === '') return error.errors.map(messageOf).join('; ');
  return messageOf(error);
}
