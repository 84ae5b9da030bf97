/**
 * Which uploads of a run are open, and whose: at most one for a task, few for a client. Lost with the process, on purpose: a
 * client opens its upload again and is told which chunks are there.
 */

import { Refusal } from '../../federation/wire/refusals.ts';
import type { UploadPlan, Uploads } from '../../storage/blobs.ts';
import { MAX_OPEN_UPLOADS } from '../limits.ts';

export interface OpenUpload {
  readonly plan: UploadPlan;
  readonly round: number;
}

export interface UploadBook {
  /** Opens it in the storage too; what the client has too many of is dropped, oldest first. Gives the chunks that are there. */
  open(clientId: string, round: number, digest: string, bytes: number): Promise<readonly number[]>;
  /** Throws `upload-unknown`. */
  find(clientId: string, digest: string): OpenUpload;
  planOf(clientId: string, round: number, digest: string, bytes: number): UploadPlan;
  /** It was sealed, or is not wanted any more. */
  close(clientId: string, round: number, drop: boolean): Promise<void>;
  /** Uploads for rounds before this one are of no use any more. */
  dropBefore(round: number): Promise<void>;
  /** The same for what an earlier process left behind. */
  dropLeftovers(round: number): Promise<void>;
}

export function createUploadBook(uploads: Uploads, run: string, chunkBytes: number): UploadBook {
  const open = new Map<string, OpenUpload & { readonly clientId: string }>();
  const keyOf = (clientId: string, round: number) => `${clientId}.${round}.${run}`;
  const byClient = new Map<string, Set<string>>();
  const ofClient = (clientId: string) => [...(byClient.get(clientId) ?? [])];

  function forget(key: string): void {
    const known = open.get(key);
    if (known === undefined) return;
    open.delete(key);
    const keys = byClient.get(known.clientId);
    keys?.delete(key);
    if (keys?.size === 0) byClient.delete(known.clientId);
  }

  const planOf: UploadBook['planOf'] = (clientId, round, digest, bytes) => ({
    key: keyOf(clientId, round),
    digest,
    bytes,
    chunkBytes,
  });

  return {
    planOf,
    async open(clientId, round, digest, bytes) {
      const plan = planOf(clientId, round, digest, bytes);
      forget(plan.key);
      const others = ofClient(clientId);
      for (const key of others.slice(0, Math.max(0, others.length + 1 - MAX_OPEN_UPLOADS))) {
        forget(key);
        await uploads.drop(key);
      }
      const have = await uploads.open(plan);
      open.set(plan.key, { plan, round, clientId });
      byClient.set(clientId, (byClient.get(clientId) ?? new Set()).add(plan.key));
      return have;
    },
    find(clientId, digest) {
      for (const key of ofClient(clientId)) {
        const found = open.get(key);
        if (found?.plan.digest === digest) return found;
      }
      throw new Refusal('upload-unknown', `no upload of ${digest} is open`, { hint: 'Open it again.' });
    },
    async close(clientId, round, drop) {
      const key = keyOf(clientId, round);
      forget(key);
      if (drop) await uploads.drop(key);
    },
    async dropBefore(round) {
      const old = [...open].filter(([, upload]) => upload.round < round).map(([key]) => key);
      for (const key of old) forget(key);
      for (const key of old) await uploads.drop(key);
    },
    async dropLeftovers(round) {
      for (const { key } of await uploads.list()) {
        const [, number, of] = /^[0-9a-f]{32}\.(\d+)\.(.+)$/.exec(key) ?? [];
        if (of === run && Number(number) < round) await uploads.drop(key);
      }
    },
  };
}
