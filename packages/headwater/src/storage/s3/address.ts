/**
 * The address of a bucket, `s3://bucket/prefix?endpoint=http://host:9000&region=eu-central-1&pathStyle=true`. Credentials
 * are no part of it: the SDK finds them in the environment, in `~/.aws`, or from the machine's role.
 */

import { HeadwaterError } from '../../base/errors.ts';

export interface BucketAddress {
  readonly bucket: string;
  /** '' or ending in `/`. */
  readonly prefix: string;
  /** Undefined: Amazon's. */
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  /** `http://host/bucket/name` instead of `http://bucket.host/name`; the default with an endpoint. */
  readonly pathStyle: boolean;
}

const BUCKET = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const PREFIX = /^[A-Za-z0-9!_.*'()-]+(\/[A-Za-z0-9!_.*'()-]+)*$/;
const OPTIONS = ['endpoint', 'region', 'pathStyle'];

export function isBucketAddress(text: string): boolean {
  return text.startsWith('s3://');
}

/** Throws OPTION_INVALID. */
export function parseBucketAddress(text: string): BucketAddress {
  const url = URL.parse(text);
  if (url === null || url.protocol !== 's3:') throw invalid('it is no s3:// URL');
  if (url.username !== '' || url.password !== '')
    throw invalid('credentials do not belong in it; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead');
  if (!BUCKET.test(url.host)) throw invalid(`"${url.host}" is no name of a bucket`);
  const folder = url.pathname.replace(/^\/|\/$/g, '');
  if (folder !== '' && (!PREFIX.test(folder) || folder.split('/').some((part) => /^\.+$/.test(part))))
    throw invalid(`"${folder}" is no prefix`);
  const unknown = [...url.searchParams.keys()].find((name) => !OPTIONS.includes(name));
  if (unknown !== undefined) throw invalid(`"${unknown}" is no option (${OPTIONS.join(', ')})`);
  const endpoint = endpointOf(url.searchParams.get('endpoint'));
  return {
    bucket: url.host,
    prefix: folder === '' ? '' : `${folder}/`,
    endpoint,
    region: url.searchParams.get('region') ?? undefined,
    pathStyle: (url.searchParams.get('pathStyle') ?? String(endpoint !== undefined)) === 'true',
  };
}

/** For messages. */
export function shownBucket({ bucket, prefix, endpoint }: BucketAddress): string {
  return `s3://${bucket}/${prefix}${endpoint === undefined ? '' : ` at ${endpoint}`}`;
}

function endpointOf(text: string | null): string | undefined {
  if (text === null) return undefined;
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.password !== '')
    throw invalid('the endpoint is no http:// or https:// URL without credentials');
  return url.origin + url.pathname.replace(/\/$/, '');
}

function invalid(why: string): HeadwaterError {
  return new HeadwaterError('OPTION_INVALID', `the address of the S3 bucket is wrong: ${why}`, {
    hint: 'Expected s3://bucket/prefix, with ?endpoint=https://host&region=REGION for stores other than Amazon’s.',
  });
}
