/** What errors of S3 and of its SDK mean: the object is not there, try again, CONNECTION_FAILED, or STORAGE_FAILED. */

import { HeadwaterError, messageOf } from '../../base/errors.ts';
import { systemErrorCode } from '../../base/io-errors.ts';

interface SdkError {
  readonly name?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
  readonly $retryable?: unknown;
}

const HINTS: Readonly<Record<string, string>> = {
  NoSuchBucket: 'Create the bucket first.',
  AccessDenied:
    'Allow s3:ListBucket, s3:ListBucketMultipartUploads, s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload.',
  InvalidAccessKeyId: 'Check AWS_ACCESS_KEY_ID.',
  SignatureDoesNotMatch: 'Check AWS_SECRET_ACCESS_KEY.',
  CredentialsProviderError: 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.',
  PermanentRedirect: 'The bucket lies in another region: set ?region=.',
  AuthorizationHeaderMalformed: 'The bucket lies in another region: set ?region=.',
};

export function isMissing(error: unknown): boolean {
  const { name } = error as SdkError;
  return name === 'NoSuchKey' || name === 'NotFound' || (statusOf(error) === 404 && name !== 'NoSuchBucket');
}

/** The range begins behind the end of the object. */
export function isBehindEnd(error: unknown): boolean {
  return statusOf(error) === 416;
}

/** A connection that broke or a server in trouble: asking again may help. */
export function isTransient(error: unknown): boolean {
  if (error instanceof HeadwaterError) return false;
  const status = statusOf(error);
  if (status !== undefined && status >= 300) return status >= 500 || status === 429 || status === 408;
  return (
    systemErrorCode(error) !== '' ||
    /timeout|aborted|terminated|premature|socket/i.test(nameAndMessage(error))
  );
}

/** The typed error for what could not be mended; a HeadwaterError passes through unchanged. */
export function bucketError(error: unknown, action: string, shown: string): HeadwaterError {
  if (error instanceof HeadwaterError) return error;
  const { name = '' } = error as SdkError;
  const hint =
    HINTS[name] ?? (isTransient(error) ? 'Check that the store runs and can be reached.' : undefined);
  return new HeadwaterError(
    isTransient(error) ? 'CONNECTION_FAILED' : 'STORAGE_FAILED',
    `cannot ${action}: ${messageOf(error) || name}`,
    { where: shown, cause: error, ...(hint === undefined ? {} : { hint }) },
  );
}

function statusOf(error: unknown): number | undefined {
  return (error as SdkError | undefined)?.$metadata?.httpStatusCode;
}

function nameAndMessage(error: unknown): string {
  return `${(error as SdkError).name ?? ''} ${messageOf(error)}`;
}
