/**
 * A small S3 in memory for tests: objects with Range, copies, listings in pages, multipart uploads, Content-MD5, ETags;
 * and faults that a test orders. It checks no signatures, only that requests are signed.
 */

import { createHash, randomUUID } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What happens to a request instead of its answer; `after`: the request was carried out, only its answer is lost. */
export type Fault =
  | { readonly kind: 'status'; readonly status: number; readonly code: string }
  | { readonly kind: 'cut'; readonly when: 'before' | 'after' }
  /** The connection breaks, or falls silent, after so many bytes of the body. */
  | { readonly kind: 'cut body' | 'stall body'; readonly bytes: number };

export interface S3Request {
  /** `GetObject`, `PutObject`, `UploadPart` … */
  readonly operation: string;
  readonly key: string;
  /** 1, 2, 3 … of this operation. */
  readonly count: number;
}

export interface FakeS3 {
  /** `s3://bucket/prefix?endpoint=…` */
  readonly url: string;
  /** Raw objects by key, prefix included; tests may damage them. */
  readonly objects: Map<string, Uint8Array>;
  readonly requests: S3Request[];
  /** Asked for every request; undefined: it is answered. */
  fault: (request: S3Request) => Fault | undefined;
  openMultiparts(): number;
  close(): Promise<void>;
}

interface Multipart {
  readonly key: string;
  readonly id: string;
  readonly startedMs: number;
  readonly parts: Map<number, Uint8Array>;
}

interface World {
  readonly objects: Map<string, Uint8Array>;
  readonly multiparts: Map<string, Multipart>;
  readonly pageSize: number;
}

const BUCKET = 'bucket';
const MIN_PART_BYTES = 5 * 2 ** 20;
const MODIFIED = new Date('2026-01-02T03:04:05Z');

export async function startFakeS3(
  options: { readonly pageSize?: number; readonly minPartBytes?: number } = {},
): Promise<FakeS3> {
  const { pageSize = 3, minPartBytes = MIN_PART_BYTES } = options;
  const world: World = { objects: new Map(), multiparts: new Map(), pageSize };
  const requests: S3Request[] = [];
  const server = createServer((request, response) => {
    void serve(request, response).catch(() => response.destroy());
  });
  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://s3');
    const operation = operationOf(request, url.searchParams);
    const [, bucket = '', ...path] = url.pathname.split('/').map(decodeURIComponent);
    const key = path.join('/');
    const count = requests.filter((other) => other.operation === operation).length + 1;
    requests.push({ operation, key, count });
    const fault = fake.fault({ operation, key, count });
    if (fault?.kind === 'cut' && fault.when === 'before') return void request.socket.destroy();
    const body = await bodyOf(request);
    if (fault?.kind === 'status') return sendError(response, fault.status, fault.code);
    const answer = answerTo(world, {
      operation,
      bucket,
      key,
      request,
      query: url.searchParams,
      body,
      minPartBytes,
    });
    if (fault?.kind === 'cut') return void request.socket.destroy();
    send(response, request.method === 'HEAD', answer, fault);
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const fake: FakeS3 = {
    url: `s3://${BUCKET}/some/prefix?endpoint=http://127.0.0.1:${port}`,
    objects: world.objects,
    requests,
    fault: () => undefined,
    openMultiparts: () => world.multiparts.size,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return fake;
}

function operationOf({ method, headers }: IncomingMessage, query: URLSearchParams): string {
  const part = query.has('uploadId');
  const copied = headers['x-amz-copy-source'] !== undefined;
  switch (method) {
    case 'GET':
      return query.has('uploads')
        ? 'ListMultipartUploads'
        : query.has('list-type')
          ? 'ListObjectsV2'
          : 'GetObject';
    case 'PUT':
      return part ? (copied ? 'UploadPartCopy' : 'UploadPart') : copied ? 'CopyObject' : 'PutObject';
    case 'POST':
      return part ? 'CompleteMultipartUpload' : 'CreateMultipartUpload';
    case 'DELETE':
      return part ? 'AbortMultipartUpload' : 'DeleteObject';
    default:
      return 'HeadObject';
  }
}

interface Asked {
  readonly operation: string;
  readonly bucket: string;
  readonly key: string;
  readonly request: IncomingMessage;
  readonly query: URLSearchParams;
  readonly body: Uint8Array;
  readonly minPartBytes: number;
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string;
}

function answerTo(world: World, asked: Asked): Answer {
  const { request, operation, body, bucket } = asked;
  if (!(request.headers.authorization ?? '').startsWith('AWS4-HMAC-SHA256'))
    return refusal(403, 'AccessDenied');
  if (bucket !== BUCKET) return refusal(404, 'NoSuchBucket');
  const announced = request.headers['content-md5'];
  if (announced !== undefined && announced !== createHash('md5').update(body).digest('base64'))
    return refusal(400, 'BadDigest');
  return (OPERATIONS[operation] ?? (() => refusal(501, 'NotImplemented')))(world, asked);
}

const OPERATIONS: Readonly<Record<string, (world: World, asked: Asked) => Answer>> = {
  PutObject({ objects }, { key, body }) {
    objects.set(key, body);
    return { status: 200, headers: { etag: etagOf(body) } };
  },
  GetObject({ objects }, { key, request }) {
    const bytes = objects.get(key);
    return bytes === undefined ? refusal(404, 'NoSuchKey') : ranged(bytes, request.headers.range);
  },
  HeadObject({ objects }, { key }) {
    const bytes = objects.get(key);
    return bytes === undefined ? refusal(404, 'NotFound') : ranged(bytes, undefined);
  },
  DeleteObject({ objects }, { key }) {
    objects.delete(key);
    return { status: 204 };
  },
  CopyObject({ objects }, { key, request }) {
    const bytes = objects.get(sourceOf(request));
    if (bytes === undefined) return refusal(404, 'NoSuchKey');
    objects.set(key, bytes);
    return xml(`<CopyObjectResult><ETag>${etagOf(bytes)}</ETag></CopyObjectResult>`);
  },
  ListObjectsV2({ objects, pageSize }, { query }) {
    const after = query.get('continuation-token') ?? '';
    const keys = keysFrom(objects.keys(), query).filter((key) => key > after);
    const page = keys.slice(0, pageSize);
    const contents = page.map((key) => {
      const size = objects.get(key)!.byteLength;
      return `<Contents><Key>${key}</Key><Size>${size}</Size><LastModified>${MODIFIED.toISOString()}</LastModified></Contents>`;
    });
    const more = keys.length > page.length;
    const next = more ? `<NextContinuationToken>${page.at(-1)}</NextContinuationToken>` : '';
    return xml(
      `<ListBucketResult><IsTruncated>${more}</IsTruncated>${next}${contents.join('')}</ListBucketResult>`,
    );
  },
  CreateMultipartUpload({ multiparts }, { key }) {
    const id = randomUUID();
    multiparts.set(id, { key, id, startedMs: MODIFIED.getTime(), parts: new Map() });
    return xml(`<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`);
  },
  UploadPart(world, asked) {
    return storePart(world, asked, asked.body, (etag) => ({ status: 200, headers: { etag } }));
  },
  UploadPartCopy(world, asked) {
    const bytes = world.objects.get(sourceOf(asked.request));
    if (bytes === undefined) return refusal(404, 'NoSuchKey');
    const [begin, end] = rangeOf(String(asked.request.headers['x-amz-copy-source-range']), bytes.byteLength);
    return storePart(world, asked, bytes.slice(begin, end), (etag) =>
      xml(`<CopyPartResult><ETag>${etag}</ETag></CopyPartResult>`),
    );
  },
  CompleteMultipartUpload: completeMultipart,
  AbortMultipartUpload({ multiparts }, { query }) {
    return multiparts.delete(query.get('uploadId') ?? '') ? { status: 204 } : refusal(404, 'NoSuchUpload');
  },
  ListMultipartUploads({ multiparts, pageSize }, { query }) {
    const after = `${query.get('key-marker') ?? ''}\n${query.get('upload-id-marker') ?? ''}`;
    const order = ({ key, id }: Multipart) => `${key}\n${id}`;
    const open = [...multiparts.values()]
      .filter((upload) => upload.key.startsWith(query.get('prefix') ?? '') && order(upload) > after)
      .sort((a, b) => (order(a) < order(b) ? -1 : 1));
    const page = open.slice(0, pageSize);
    const last = page.at(-1);
    const more = open.length > page.length && last !== undefined;
    const next = more
      ? `<NextKeyMarker>${last.key}</NextKeyMarker><NextUploadIdMarker>${last.id}</NextUploadIdMarker>`
      : '';
    const uploads = page.map(
      ({ key, id, startedMs }) =>
        `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${new Date(startedMs).toISOString()}</Initiated></Upload>`,
    );
    return xml(
      `<ListMultipartUploadsResult><IsTruncated>${more}</IsTruncated>${next}${uploads.join('')}</ListMultipartUploadsResult>`,
    );
  },
};

function storePart(
  { multiparts }: World,
  { query }: Asked,
  bytes: Uint8Array,
  answer: (etag: string) => Answer,
): Answer {
  const upload = multiparts.get(query.get('uploadId') ?? '');
  if (upload === undefined) return refusal(404, 'NoSuchUpload');
  upload.parts.set(Number(query.get('partNumber')), bytes);
  return answer(etagOf(bytes));
}

function completeMultipart({ objects, multiparts }: World, { query, body, minPartBytes }: Asked): Answer {
  const upload = multiparts.get(query.get('uploadId') ?? '');
  if (upload === undefined) return refusal(404, 'NoSuchUpload');
  const text = Buffer.from(body).toString().replaceAll('&quot;', '"');
  const listed = [...text.matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, part = '']) => {
    const number = Number(/<PartNumber>(\d+)</.exec(part)?.[1]);
    return { bytes: upload.parts.get(number), tag: /<ETag>(.*?)</.exec(part)?.[1] };
  });
  const parts: Uint8Array[] = [];
  for (const [index, { bytes, tag }] of listed.entries()) {
    if (bytes === undefined || tag !== etagOf(bytes)) return refusal(400, 'InvalidPart');
    if (index < listed.length - 1 && bytes.byteLength < minPartBytes) return refusal(400, 'EntityTooSmall');
    parts.push(bytes);
  }
  objects.set(upload.key, Buffer.concat(parts));
  multiparts.delete(upload.id);
  return xml('<CompleteMultipartUploadResult></CompleteMultipartUploadResult>');
}

function keysFrom(keys: Iterable<string>, query: URLSearchParams): string[] {
  return [...keys].filter((key) => key.startsWith(query.get('prefix') ?? '')).sort();
}

function sourceOf({ headers }: IncomingMessage): string {
  return decodeURIComponent(String(headers['x-amz-copy-source'])).replace(`${BUCKET}/`, '');
}

function rangeOf(header: string, length: number): [number, number] {
  const [, from = '', to = ''] = /^bytes=(\d+)-(\d*)$/.exec(header) ?? [];
  return [Number(from), to === '' ? length : Math.min(length, Number(to) + 1)];
}

function ranged(bytes: Uint8Array, header: string | undefined): Answer {
  const whole = { etag: etagOf(bytes), 'last-modified': MODIFIED.toUTCString() };
  if (header === undefined) return { status: 200, headers: whole, body: bytes };
  const [begin, end] = rangeOf(header, bytes.byteLength);
  if (begin >= bytes.byteLength) return refusal(416, 'InvalidRange');
  const headers = { ...whole, 'content-range': `bytes ${begin}-${end - 1}/${bytes.byteLength}` };
  return { status: 206, headers, body: bytes.slice(begin, end) };
}

function refusal(status: number, code: string): Answer {
  return { status, body: errorXml(code), headers: { 'content-type': 'application/xml' } };
}

function xml(body: string): Answer {
  return {
    status: 200,
    body: `<?xml version="1.0"?>${body}`,
    headers: { 'content-type': 'application/xml' },
  };
}

function errorXml(code: string): string {
  return `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${code} as ordered</Message></Error>`;
}

function sendError(response: ServerResponse, status: number, code: string): void {
  send(response, false, refusal(status, code), undefined);
}

function send(response: ServerResponse, head: boolean, answer: Answer, fault: Fault | undefined): void {
  const body = Buffer.from(answer.body ?? '');
  const sendsBody = !head && answer.status !== 204;
  response.writeHead(answer.status, {
    ...answer.headers,
    ...(answer.status === 204 ? {} : { 'content-length': String(body.byteLength) }),
  });
  if (sendsBody && (fault?.kind === 'cut body' || fault?.kind === 'stall body')) {
    const { kind, bytes } = fault;
    response.write(body.subarray(0, bytes), () => {
      if (kind === 'cut body') response.destroy();
    });
    return;
  }
  response.end(sendsBody ? body : undefined);
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  const pieces: Buffer[] = [];
  for await (const piece of request) pieces.push(piece as Buffer);
  return Buffer.concat(pieces);
}

function etagOf(bytes: Uint8Array): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`;
}
