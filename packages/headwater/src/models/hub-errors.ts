/** Says what went wrong with the Hugging Face hub in words that help: refused, absent, offline, disturbed. No I/O. */

import { HubApiError } from '@huggingface/hub';
import { HeadwaterError, messageOf } from '../base/errors.ts';
import { systemErrorCode } from '../base/io-errors.ts';

export interface HubRepository {
  /** `owner/name`. */
  readonly name: string;
  readonly revision: string;
  readonly endpoint: string;
}

/** HUB_FAILED, MODEL_NOT_FOUND for 404, or the HeadwaterError that it already is. */
export function hubError(cause: unknown, action: string, repo: HubRepository): HeadwaterError {
  if (cause instanceof HeadwaterError) return cause;
  const where = `${repo.endpoint}/${repo.name}`;
  if ((cause as { name?: unknown } | null)?.name === 'AbortError')
    return new HeadwaterError('INTERRUPTED', `stopped: ${action}`, {
      where,
      cause,
      hint: 'Run the command again; what is downloaded already is kept.',
    });
  if (cause instanceof HubApiError) return refused(cause, action, repo, where);
  const message = messageOf(cause);
  if (isOffline(cause))
    return new HeadwaterError(
      'HUB_FAILED',
      `cannot ${action}: ${repo.endpoint} cannot be reached (${rootMessage(cause)})`,
      {
        where,
        cause,
        hint: 'Check the network and HF_ENDPOINT, or give a local model folder.',
      },
    );
  if (message.includes("start with 'hf_'"))
    return new HeadwaterError(
      'HUB_FAILED',
      'HF_TOKEN is no access token of the hub: it must start with hf_',
      {
        where,
        hint: 'Make a token at https://huggingface.co/settings/tokens, or unset HF_TOKEN.',
      },
    );
  return new HeadwaterError('HUB_FAILED', `cannot ${action}: ${message}`, {
    where,
    cause,
    hint: 'Run the command again; what is downloaded already is kept.',
  });
}

function refused(cause: HubApiError, action: string, repo: HubRepository, where: string): HeadwaterError {
  const { statusCode } = cause;
  const said = `cannot ${action}: the hub answered ${statusCode}`;
  if (statusCode === 404)
    return new HeadwaterError(
      'MODEL_NOT_FOUND',
      `${said}: there is no ${repo.name} at revision ${repo.revision}`,
      {
        where,
        cause,
        hint: 'Check owner, name and @revision; if you mean a local folder, check its path.',
      },
    );
  // The hub answers 401 for repositories that do not exist, too, so as not to reveal private names.
  if (statusCode === 401 || statusCode === 403)
    return new HeadwaterError('HUB_FAILED', `${said}: ${repo.name} does not exist, is private, or is gated`, {
      where,
      cause,
      hint: `Check the name. For a gated model accept its terms at ${where} and set HF_TOKEN to a token that may read it.`,
    });
  const hint =
    statusCode === 429 || statusCode >= 500
      ? 'The hub is busy; run the command again later. What is downloaded already is kept.'
      : 'Check HF_ENDPOINT.';
  return new HeadwaterError('HUB_FAILED', `${said}: ${cause.message}`, { where, cause, hint });
}

const OFFLINE_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'ETIMEDOUT',
  'UND_ERR_CONNECT_TIMEOUT',
]);

/** True when no connection came about; false when one broke. */
export function isOffline(cause: unknown): boolean {
  for (let at = cause; at instanceof Error; at = at.cause)
    if (OFFLINE_CODES.has(systemErrorCode(at))) return true;
  return false;
}

function rootMessage(cause: unknown): string {
  let at = cause;
  while (at instanceof Error && at.cause instanceof Error) at = at.cause;
  return systemErrorCode(at) || messageOf(at);
}
