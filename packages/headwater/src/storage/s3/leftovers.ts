/** What a crash may leave in a bucket: multipart uploads that were never completed, and staged objects never moved. */

import { createHash } from 'node:crypto';
import type { Bucket, OpenMultipart } from './bucket.ts';
import { STAGING } from './write.ts';

/** No key of an upload contains ":". */
const MULTIPART_KEY = 'multipart:';
const STAGED_KEY = 'staged:';

export interface Leftovers {
  list(): Promise<{ readonly key: string; readonly bytes: number; readonly modifiedMs: number }[]>;
  /** True when the key is one of a leftover; an unknown one is fine. */
  drop(key: string): Promise<boolean>;
}

export function leftovers(bucket: Bucket): Leftovers {
  return {
    async list() {
      const found = [];
      for await (const open of bucket.multipart.list())
        found.push({ key: multipartKey(open), bytes: 0, modifiedMs: open.startedMs });
      for await (const { name, bytes, modifiedMs } of bucket.list(STAGING))
        found.push({ key: STAGED_KEY + name.slice(STAGING.length), bytes, modifiedMs });
      return found;
    },
    async drop(key) {
      if (key.startsWith(STAGED_KEY)) await bucket.delete(STAGING + key.slice(STAGED_KEY.length));
      else if (!key.startsWith(MULTIPART_KEY)) return false;
      else
        for await (const open of bucket.multipart.list())
          if (multipartKey(open) === key) await bucket.multipart.abort(open.name, open.id);
      return true;
    },
  };
}

function multipartKey({ name, id }: OpenMultipart): string {
  return MULTIPART_KEY + createHash('sha256').update(`${name}\n${id}`).digest('hex').slice(0, 32);
}
