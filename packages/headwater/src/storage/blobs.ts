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
  /** Bytes whose digest was checked again. Throws RUN_CORRUPT when missing or damaged, STORAGE_FAILED when unreadable. */
  get(digest: string): Promise<Uint8Array>;
  has(digest: string): Promise<boolean>;
  /** Forgets a blob; unknown digests are fine. */
  delete(digest: string): Promise<void>;
  /** Digests of everything stored, sorted. */
  list(): Promise<string[]>;
}
