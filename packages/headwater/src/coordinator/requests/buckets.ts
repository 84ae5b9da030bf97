/** Token buckets by key, in memory: so many at once, so many a second on average. Forgotten keys are full buckets again. */

export interface Buckets {
  /** Milliseconds until one may be taken; 0: now. */
  waitMs(key: string, nowMs: number): number;
  /** Takes one, also below zero. */
  take(key: string, nowMs: number): void;
}

interface Bucket {
  level: number;
  atMs: number;
}

export interface BucketOptions {
  readonly perSecond: number;
  readonly burst: number;
  /** More keys than this are not remembered: the one that was longest not used goes. */
  readonly maxKeys: number;
}

export function createBuckets({ perSecond, burst, maxKeys }: BucketOptions): Buckets {
  const buckets = new Map<string, Bucket>();
  const levelAt = (key: string, nowMs: number) => {
    const bucket = buckets.get(key);
    if (bucket === undefined) return burst;
    return Math.min(burst, bucket.level + (Math.max(0, nowMs - bucket.atMs) * perSecond) / 1000);
  };
  return {
    waitMs: (key, nowMs) => Math.ceil((Math.max(0, 1 - levelAt(key, nowMs)) / perSecond) * 1000),
    take(key, nowMs) {
      const level = Math.max(-burst, levelAt(key, nowMs) - 1);
      buckets.delete(key);
      buckets.set(key, { level, atMs: nowMs });
      if (buckets.size > maxKeys) buckets.delete(buckets.keys().next().value!);
    },
  };
}
