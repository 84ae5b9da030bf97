/**
 * Signed requests: HTTP message signatures (RFC 9421) with Ed25519 over method, path, query and the SHA-256 of the body
 * (RFC 9530), with time and nonce. Keys stay with whoever signs or verifies; whether a time or nonce is acceptable is
 * the receiver's business.
 */

import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, hexToBytes, utf8ToBytes } from '@noble/hashes/utils.js';
import { fromBase64url, toBase64url } from '../../base/base64url.ts';
import { digestBytes } from '../../base/canonical.ts';

/** Ed25519 key pair that never leaves its holder. */
export interface Signer {
  /** 32 bytes, raw. */
  readonly publicKey: Uint8Array;
  /** 64 bytes. */
  sign(message: Uint8Array): Promise<Uint8Array>;
}

export interface RequestToSign {
  readonly method: string;
  /** With query. */
  readonly path: string;
  /** SHA-256 of the body before any Content-Encoding, lower-case hex; undefined for GET. */
  readonly bodyDigest: string | undefined;
  readonly createdMs: number;
  /** Unused before with this key: 16–64 characters of base64url. */
  readonly nonce: string;
}

/** What a signed request claims; nothing of it is true before `message` was verified with the key of `keyId`. */
export interface SignedRequest {
  readonly keyId: string;
  readonly createdMs: number;
  readonly nonce: string;
  /** SHA-256 of the body; undefined for requests without one. */
  readonly bodyDigest: string | undefined;
  /** The signed bytes. */
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}

/** A client's id: the first 16 bytes of the SHA-256 of its public key, lower-case hex. */
export function clientIdOf(publicKey: Uint8Array): string {
  return bytesToHex(sha256(publicKey).subarray(0, 16));
}

/** RFC 9530, for the header `content-digest`. */
export function contentDigestOf(digest: string): string {
  return `sha-256=:${toBase64(hexToBytes(digest))}:`;
}

/** Hex of a `content-digest` header; undefined when it is none or holds anything but one SHA-256. */
export function parseContentDigest(header: string | undefined): string | undefined {
  const [, text] = /^sha-256=:([A-Za-z0-9+/]{43}=):$/.exec(header ?? '') ?? [];
  const bytes = text === undefined ? undefined : fromBase64(text);
  return bytes === undefined ? undefined : bytesToHex(bytes);
}

/** Digest of a small body, for `RequestToSign.bodyDigest`. */
export function bodyDigestOf(body: Uint8Array = new Uint8Array()): string {
  return digestBytes(body);
}

/** The headers that sign a request: `content-digest` (with a body), `signature-input`, `signature`. */
export async function signRequest(signer: Signer, request: RequestToSign): Promise<Record<string, string>> {
  const params = signatureParams(request, clientIdOf(signer.publicKey));
  const signature = await signer.sign(utf8ToBytes(requestBase(request, params)));
  return {
    ...(request.bodyDigest === undefined ? {} : { 'content-digest': contentDigestOf(request.bodyDigest) }),
    'signature-input': `hw=${params}`,
    signature: `hw=:${toBase64(signature)}:`,
  };
}

/** Reads the signature headers; undefined when they are missing or not exactly of the form that `signRequest` writes. */
export function readSignature(
  method: string,
  path: string,
  headers: Readonly<Record<string, string | undefined>>,
): SignedRequest | undefined {
  const { 'signature-input': input = '', signature: text = '' } = headers;
  if (input.length > 1000) return undefined;
  const [, covered, created, ms, nonce, keyId] = INPUT.exec(input) ?? [];
  const [, encoded] = /^hw=:([A-Za-z0-9+/]{86}==):$/.exec(text) ?? [];
  const signature = encoded === undefined ? undefined : fromBase64(encoded);
  if (nonce === undefined || keyId === undefined || signature === undefined) return undefined;
  const hasBody = method !== 'GET';
  const bodyDigest = hasBody ? parseContentDigest(headers['content-digest']) : undefined;
  if (hasBody !== (bodyDigest !== undefined) || covered !== (hasBody ? WITH_BODY : WITHOUT_BODY))
    return undefined;
  const createdMs = Number(created) * 1000 + Number(ms);
  const base = requestBase({ method, path, bodyDigest }, input.slice('hw='.length));
  return { keyId, createdMs, nonce, bodyDigest, message: utf8ToBytes(base), signature };
}

/**
 * The signature base of RFC 9421 §2.5: one line a component, then the parameters. `components`: identifier → value.
 */
export function signatureBase(components: readonly (readonly [string, string])[], params: string): string {
  const lines = components.map(([id, value]) => `"${id}": ${value}`);
  return [...lines, `"@signature-params": ${params}`].join('\n');
}

const WITHOUT_BODY = '("@method" "@path" "@query")';
const WITH_BODY = '("@method" "@path" "@query" "content-digest")';

/** `ms`: the part of the second; RFC 9421 counts whole seconds, which is too coarse against replays after a restart. */
const INPUT =
  /^hw=(\([^()]{1,200}\));created=(\d{1,12});ms=(\d{1,3});nonce="([A-Za-z0-9_-]{16,64})";keyid="([0-9a-f]{32})";alg="ed25519"$/;

function signatureParams({ bodyDigest, createdMs, nonce }: RequestToSign, keyId: string): string {
  const created = Math.floor(createdMs / 1000);
  const ms = Math.floor(createdMs) - created * 1000;
  const covered = bodyDigest === undefined ? WITHOUT_BODY : WITH_BODY;
  return `${covered};created=${created};ms=${ms};nonce="${nonce}";keyid="${keyId}";alg="ed25519"`;
}

function requestBase(
  { method, path, bodyDigest }: Pick<RequestToSign, 'method' | 'path' | 'bodyDigest'>,
  params: string,
): string {
  const at = path.indexOf('?');
  const components: [string, string][] = [
    ['@method', method],
    ['@path', at < 0 ? path : path.slice(0, at)],
    ['@query', at < 0 ? '?' : path.slice(at)],
  ];
  if (bodyDigest !== undefined) components.push(['content-digest', contentDigestOf(bodyDigest)]);
  return signatureBase(components, params);
}

function toBase64(bytes: Uint8Array): string {
  const text = toBase64url(bytes).replaceAll('-', '+').replaceAll('_', '/');
  return text.padEnd(Math.ceil(text.length / 4) * 4, '=');
}

/** Undefined when it is not the one way to write its bytes. */
function fromBase64(text: string): Uint8Array | undefined {
  return fromBase64url(text.replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', ''));
}
