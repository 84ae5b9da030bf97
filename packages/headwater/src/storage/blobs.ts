/**
 * The Blobs port: immutable byte strings addressed by their SHA-256. The same bytes have one name and are stored once,
 * so that writing twice is harmless. It knows nothing of what the bytes mean.
 */

export interface Blobs {
  /**
   * Stores the bytes (whole or not at all, durable when resolved) and returns their SHA-256, 64 lower-case hex digits.
   * Throws STORAGE_FAILED.
   */
  put(bytes: Uint8Array): Promise<string>;
  /** The same for bytes that come piece by piece; memory stays that of a piece. A source that throws stores nothing. */
  putStream(source: AsyncIterable<Uint8Array>): Promise<string>;
  /** Bytes whose digest was checked again. Throws RUN_CORRUPT when missing or damaged, STORAGE_FAILED when unreadable. */
  get(digest: string): Promise<Uint8Array>;
  /**
   * Pieces of at most 1 MiB, in order; memory stays that of a piece. Of the whole blob the digest is checked before the last
   * piece is given (RUN_CORRUPT); a range is given as it lies there. Throws like `get`.
   */
  stream(digest: string, range?: ByteRange, use?: PieceUse): AsyncIterable<Uint8Array>;
  has(digest: string): Promise<boolean>;
  /** In bytes; undefined when it is not there. */
  size(digest: string): Promise<number | undefined>;
  /** Forgets a blob; unknown digests are fine. */
  delete(digest: string): Promise<void>;
  /** Digests of everything stored, sorted. */
  list(): Promise<string[]>;
  readonly uploads: Uploads;
}

/** `lent`: a piece is looked at before the next one is asked for, so that its memory may serve again. */
export type PieceUse = 'kept' | 'lent';

export interface ByteRange {
  readonly offset: number;
  readonly length: number;
}

/** What is announced about an upload before its first byte. */
export interface UploadPlan {
  /** Who uploads: two senders of equal bytes do not see each other. 1–200 characters of [A-Za-z0-9._-]. */
  readonly key: string;
  /** SHA-256 of the whole. */
  readonly digest: string;
  readonly bytes: number;
  readonly chunkBytes: number;
}

/** Blobs that arrive in chunks, in any order, over restarts. Every call may be repeated. */
export interface Uploads {
  /** Begins or continues; gives the indices of the chunks that are there, sorted. A plan that differs from a begun one starts anew. */
  open(plan: UploadPlan): Promise<readonly number[]>;
  /**
   * Stores chunk `index` whole or not at all. Throws UPLOAD_INVALID, storing nothing, when its length or SHA-256 is not
   * `digest`'s; UPLOAD_UNKNOWN when nothing was opened under `key`; STORAGE_FAILED.
   */
  putChunk(key: string, index: number, digest: string, source: AsyncIterable<Uint8Array>): Promise<void>;
  /**
   * All chunks → one durable blob; gives its digest; the upload is gone. Sealing again after success is fine (the blob is
   * there). Throws UPLOAD_INVALID when chunks are missing or the whole has another digest (then the upload is dropped).
   */
  seal(plan: UploadPlan): Promise<string>;
  /** Forgets what was uploaded under the key. */
  drop(key: string): Promise<void>;
  /** Open uploads with the bytes that were announced: for quotas and for dropping what was left behind. */
  list(): Promise<readonly { readonly key: string; readonly bytes: number; readonly modifiedMs: number }[]>;
}
