/** Sizes of params: asked for with every task, never changing. */

import type { HandlerContext } from '../calls.ts';

const MAX_KNOWN = 1000;

/** 0 when there is no such blob. */
export async function sizeOf({ parts, sizes }: HandlerContext, digest: string): Promise<number> {
  const known = sizes.get(digest);
  if (known !== undefined) return known;
  const bytes = await parts.blobs.size(digest);
  if (bytes === undefined) return 0;
  sizes.set(digest, bytes);
  if (sizes.size > MAX_KNOWN) sizes.delete(sizes.keys().next().value!);
  return bytes;
}
