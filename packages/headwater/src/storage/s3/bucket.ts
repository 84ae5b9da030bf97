/**
 * The operations of S3 that blobs need, on names below one prefix. The SDK signs, finds credentials and repeats what failed
 * on the way; it is loaded only when a bucket is opened. Nothing here knows what the objects are.
 */

import { createHash } from 'node:crypto';
import type {
  ListMultipartUploadsCommandOutput,
  ListObjectsV2CommandOutput,
  S3Client,
} from '@aws-sdk/client-s3';
import { type BucketAddress, shownBucket } from './address.ts';
import { bucketError, isMissing } from './failures.ts';

export interface StoredObject {
  readonly name: string;
  readonly bytes: number;
  readonly modifiedMs: number;
}

/** A multipart upload that was neither completed nor aborted. */
export interface OpenMultipart {
  readonly name: string;
  readonly id: string;
  readonly startedMs: number;
}

export interface Bucket {
  /** For messages. */
  readonly shown: string;
  put(name: string, bytes: Uint8Array): Promise<void>;
  /** Throws the SDK's own errors: what a missing object means is the caller's business. */
  get(name: string, from: number, end: number | undefined): Promise<ObjectBody>;
  size(name: string): Promise<number | undefined>;
  /** Within the bucket, of at most 5 GB. */
  copy(from: string, to: string): Promise<void>;
  delete(name: string): Promise<void>;
  /** In the order of the names' UTF-8 bytes. */
  list(prefix: string): AsyncIterable<StoredObject>;
  readonly multipart: {
    begin(name: string): Promise<string>;
    /** Part numbers count from 1; gives the part's tag. */
    part(name: string, id: string, number: number, bytes: Uint8Array): Promise<string>;
    copyPart(
      name: string,
      id: string,
      number: number,
      from: string,
      range: [number, number],
    ): Promise<string>;
    complete(name: string, id: string, tags: readonly string[]): Promise<void>;
    abort(name: string, id: string): Promise<void>;
    list(): AsyncIterable<OpenMultipart>;
  };
  close(): void;
}

export interface ObjectBody {
  /** Bytes that will come. */
  readonly length: number | undefined;
  readonly pieces: AsyncIterable<Uint8Array>;
}

export interface BucketOptions {
  /** A connection on which nothing moves for so long is given up. */
  readonly idleTimeoutMs: number;
  readonly maxAttempts: number;
}

const CONNECT_TIMEOUT_MS = 10_000;
const FALLBACK_REGION = 'us-east-1';

export async function openBucket(address: BucketAddress, options: BucketOptions): Promise<Bucket> {
  // Loaded only by those who use S3: it takes longer than all of the command line.
  const sdk = await import('@aws-sdk/client-s3');
  const client = new sdk.S3Client(clientConfig(address, options));
  const shown = shownBucket(address);
  const Bucket = address.bucket;
  const keyOf = (name: string) => address.prefix + name;
  const nameOf = (key: string) => key.slice(address.prefix.length);
  const sourceOf = (name: string) => encodeURI(`${Bucket}/${keyOf(name)}`);
  const object = (name: string) => ({ Bucket, Key: keyOf(name) });
  const asked = async <T>(action: string, answer: Promise<T>): Promise<T> => {
    try {
      return await answer;
    } catch (error) {
      throw bucketError(error, action, shown);
    }
  };

  return {
    shown,
    async put(name, bytes) {
      const input = { ...object(name), Body: bytes, ContentMD5: md5(bytes) };
      await asked('write an object', client.send(new sdk.PutObjectCommand(input)));
    },
    async get(name, from, end) {
      const whole = from === 0 && end === undefined;
      const range = whole ? {} : { Range: `bytes=${from}-${end === undefined ? '' : end - 1}` };
      const answer = await client.send(new sdk.GetObjectCommand({ ...object(name), ...range }));
      return { length: answer.ContentLength, pieces: answer.Body as unknown as AsyncIterable<Uint8Array> };
    },
    async size(name) {
      try {
        return (await client.send(new sdk.HeadObjectCommand(object(name)))).ContentLength;
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw bucketError(error, 'look for an object', shown);
      }
    },
    async copy(from, to) {
      const input = { ...object(to), CopySource: sourceOf(from) };
      await asked('copy an object', client.send(new sdk.CopyObjectCommand(input)));
    },
    async delete(name) {
      await asked('delete an object', client.send(new sdk.DeleteObjectCommand(object(name))));
    },
    async *list(prefix) {
      let token: string | undefined;
      do {
        const input = { Bucket, Prefix: keyOf(prefix), ContinuationToken: token };
        const page: ListObjectsV2CommandOutput = await asked(
          'list objects',
          client.send(new sdk.ListObjectsV2Command(input)),
        );
        for (const { Key = '', Size = 0, LastModified } of page.Contents ?? [])
          yield { name: nameOf(Key), bytes: Size, modifiedMs: LastModified?.getTime() ?? 0 };
        token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      } while (token !== undefined);
    },
    multipart: multipartOf(sdk, client, { Bucket, keyOf, nameOf, sourceOf, asked }),
    close: () => client.destroy(),
  };
}

interface Names {
  readonly Bucket: string;
  keyOf(name: string): string;
  nameOf(key: string): string;
  sourceOf(name: string): string;
  asked<T>(action: string, answer: Promise<T>): Promise<T>;
}

function multipartOf(
  sdk: typeof import('@aws-sdk/client-s3'),
  client: S3Client,
  { Bucket, keyOf, nameOf, sourceOf, asked }: Names,
): Bucket['multipart'] {
  const part = (name: string, id: string) => ({ Bucket, Key: keyOf(name), UploadId: id });
  return {
    async begin(name) {
      const input = { Bucket, Key: keyOf(name) };
      const answer = await asked('begin an upload', client.send(new sdk.CreateMultipartUploadCommand(input)));
      return answer.UploadId ?? '';
    },
    async part(name, id, number, bytes) {
      const input = { ...part(name, id), PartNumber: number, Body: bytes, ContentMD5: md5(bytes) };
      return (await asked('write a part', client.send(new sdk.UploadPartCommand(input)))).ETag ?? '';
    },
    async copyPart(name, id, number, from, [begin, end]) {
      const input = {
        ...part(name, id),
        PartNumber: number,
        CopySource: sourceOf(from),
        CopySourceRange: `bytes=${begin}-${end - 1}`,
      };
      const answer = await asked('copy a part', client.send(new sdk.UploadPartCopyCommand(input)));
      return answer.CopyPartResult?.ETag ?? '';
    },
    async complete(name, id, tags) {
      const Parts = tags.map((ETag, index) => ({ ETag, PartNumber: index + 1 }));
      const input = { ...part(name, id), MultipartUpload: { Parts } };
      await asked('complete an upload', client.send(new sdk.CompleteMultipartUploadCommand(input)));
    },
    async abort(name, id) {
      try {
        await client.send(new sdk.AbortMultipartUploadCommand(part(name, id)));
      } catch (error) {
        if (!isMissing(error)) await asked('drop an upload', Promise.reject(error));
      }
    },
    async *list() {
      let after: { KeyMarker: string | undefined; UploadIdMarker: string | undefined } | undefined;
      do {
        const input = { Bucket, Prefix: keyOf(''), ...after };
        const page: ListMultipartUploadsCommandOutput = await asked(
          'list uploads',
          client.send(new sdk.ListMultipartUploadsCommand(input)),
        );
        for (const { Key = '', UploadId = '', Initiated } of page.Uploads ?? [])
          yield { name: nameOf(Key), id: UploadId, startedMs: Initiated?.getTime() ?? 0 };
        const { IsTruncated, NextKeyMarker, NextUploadIdMarker } = page;
        after = IsTruncated ? { KeyMarker: NextKeyMarker, UploadIdMarker: NextUploadIdMarker } : undefined;
      } while (after !== undefined);
    },
  };
}

function clientConfig(address: BucketAddress, { idleTimeoutMs, maxAttempts }: BucketOptions) {
  const { endpoint, region, pathStyle } = address;
  return {
    // Other stores than Amazon's take any region.
    ...(region === undefined ? (endpoint === undefined ? {} : { region: FALLBACK_REGION }) : { region }),
    ...(endpoint === undefined ? {} : { endpoint }),
    forcePathStyle: pathStyle,
    maxAttempts,
    // Trailing checksums are unknown to many stores; Content-MD5 and our own SHA-256 do the work.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS, socketTimeout: idleTimeoutMs },
  } as const;
}

/** What S3 checks a body against; not for security. */
function md5(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('base64');
}
