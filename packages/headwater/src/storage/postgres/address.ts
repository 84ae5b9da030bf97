/**
 * The address of a database, `postgres://user:password@host:port/database?sslmode=require&poolSize=8`: what is given to
 * the driver, and what may be shown. Passwords are never shown; they can also come from PGPASSWORD or `~/.pgpass`.
 */

import { HeadwaterError } from '../../base/errors.ts';

export interface DatabaseAddress {
  /** For the driver; holds the password. */
  readonly connectionString: string;
  /** For people: host, port and database. */
  readonly shown: string;
  /** Connections of this process. */
  readonly poolSize: number;
}

const DEFAULT_POOL_SIZE = 8;
const MAX_POOL_SIZE = 200;

export function isDatabaseAddress(text: string): boolean {
  return /^postgres(ql)?:\/\//i.test(text);
}

/** Throws OPTION_INVALID. */
export function parseDatabaseAddress(text: string): DatabaseAddress {
  const url = URL.parse(text);
  // An unencoded "/", "#" or "?" in a password ends up in the path, the fragment or the query: it must not be shown.
  if (url === null || url.hash !== '' || (url.pathname + url.search).includes('@'))
    throw invalid('it is no URL; a password may need percent-encoding (%2F for "/", %23 for "#" …)');
  const poolSize = Number(url.searchParams.get('poolSize') ?? DEFAULT_POOL_SIZE);
  if (!Number.isInteger(poolSize) || poolSize < 2 || poolSize > MAX_POOL_SIZE)
    throw invalid(`poolSize is no whole number from 2 to ${MAX_POOL_SIZE}`);
  url.searchParams.delete('poolSize');
  const host = url.searchParams.get('host') ?? url.host;
  return { connectionString: url.href, shown: `postgres://${host}${url.pathname}`, poolSize };
}

function invalid(why: string): HeadwaterError {
  return new HeadwaterError('OPTION_INVALID', `the address of the PostgreSQL database is wrong: ${why}`, {
    hint: 'Expected postgres://user:password@host:port/database, optionally with ?sslmode=require&poolSize=8.',
  });
}
