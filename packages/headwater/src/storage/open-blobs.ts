/** Blobs by the place where they lie: a folder, or `s3://bucket/prefix`. For the process that serves and for its workers. */

import type { Blobs } from './blobs.ts';
import { openFileBlobs } from './file-blobs.ts';

/** Throws OPTION_INVALID, CONNECTION_FAILED, STORAGE_FAILED. */
export async function openBlobs(place: string): Promise<Blobs> {
  if (!place.startsWith('s3://')) return openFileBlobs(place);
  // Only who uses S3 pays for loading its client.
  const { openS3Blobs } = await import('./s3-blobs.ts');
  return openS3Blobs(place);
}
