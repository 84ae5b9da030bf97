/** The operator's commands and the admin API of a coordinator: where it is, what it answers. */

import { type Command, Option } from 'commander';
import { request } from 'undici';
import { HeadwaterError, isErrorCode, messageOf } from '../base/errors.ts';
import { type AdminAccess, findAdmin } from '../coordinator/admin-token.ts';

export interface AdminOptions {
  readonly store: string;
  readonly coordinator?: string;
  readonly adminToken?: string;
}

/** Options by which every operator's command finds its coordinator. */
export function withAdminOptions(command: Command): Command {
  return command
    .addOption(
      new Option('--store <folder>', 'folder of the coordinator (--store or --folder of `headwater serve`)')
        .env('HEADWATER_STORE')
        .default('coordinator'),
    )
    .option('--coordinator <url>', 'admin address, where the folder is not on this machine')
    .addOption(
      new Option('--admin-token <token>', 'with --coordinator: the content of admin.token').env(
        'HEADWATER_ADMIN_TOKEN',
      ),
    );
}

export interface Admin {
  get<T>(path: string): Promise<T>;
  post<T>(path: string, body?: object): Promise<T>;
  remove<T>(path: string): Promise<T>;
}

/** Throws RUN_NOT_FOUND, OPTION_INVALID; calls throw CONNECTION_FAILED and what the coordinator answers. */
export async function openAdmin(options: AdminOptions): Promise<Admin> {
  const access = await accessOf(options);
  const call = <T>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object) =>
    send(access, method, path, body) as Promise<T>;
  return {
    get: (path) => call('GET', path),
    post: (path, body = {}) => call('POST', path, body),
    remove: (path) => call('DELETE', path),
  };
}

async function accessOf({ store, coordinator, adminToken }: AdminOptions): Promise<AdminAccess> {
  if (coordinator === undefined) return findAdmin(store);
  if (adminToken !== undefined) return { url: coordinator.replace(/\/+$/, ''), token: adminToken };
  throw new HeadwaterError('OPTION_INVALID', '--coordinator needs the admin token', {
    hint: 'Set HEADWATER_ADMIN_TOKEN to the content of admin.token in the coordinator’s folder.',
  });
}

async function send(
  { url, token }: AdminAccess,
  method: 'GET' | 'POST' | 'DELETE',
  path: string,
  body: object | undefined,
): Promise<unknown> {
  const answer = await request(`${url}/admin${path}`, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  }).catch((cause) => {
    throw new HeadwaterError('CONNECTION_FAILED', `no coordinator answers on ${url}: ${messageOf(cause)}`, {
      hint: 'Start it with `headwater serve`, or give another --store or --coordinator.',
      cause,
    });
  });
  const value = await answer.body.json().catch(() => undefined);
  if (answer.statusCode < 300) return value;
  throw asError(answer.statusCode, value, url);
}

function asError(status: number, value: unknown, url: string): HeadwaterError {
  const error = (value as { error?: { code?: string; message?: string; hint?: string } } | undefined)?.error;
  if (error?.message === undefined)
    return new HeadwaterError('CONNECTION_FAILED', `${url} answered with status ${status}`);
  const code = error.code !== undefined && isErrorCode(error.code) ? error.code : 'REQUEST_REFUSED';
  return new HeadwaterError(code, error.message, error.hint === undefined ? {} : { hint: error.hint });
}
