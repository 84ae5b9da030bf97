/** The compressions that come with Headwater, by id. A plug-in's compressions join a copy of this map. */

import type { Compression } from './compression.ts';
import { float16 } from './float16.ts';
import { int8 } from './int8.ts';
import { none } from './none.ts';
import { topK } from './top-k.ts';

export const compressions: ReadonlyMap<string, Compression<unknown>> = new Map(
  [none, float16, int8, topK].map((compression) => [
    compression.id,
    compression as unknown as Compression<unknown>,
  ]),
);
