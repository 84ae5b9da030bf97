/** What the processes of `bench secagg` say to each other. */

import type { Drop } from '../privacy/secure-aggregation/secagg-plus/local-member.ts';
import type { Said, Told } from '../privacy/secure-aggregation/secagg-plus/member.ts';
import type { Advert, Attempt } from '../privacy/secure-aggregation/secagg-plus/messages.ts';

/** One client that a process hosts; hex. */
export interface HostedClient {
  readonly owner: string;
  /** Seed of its Ed25519 key. */
  readonly identity: string;
  /** Its vector is the keystream of this key. */
  readonly vector: string;
  /** Before which step it falls silent. */
  readonly drop: Drop;
}

export type ToHost =
  | { readonly type: 'begin'; readonly attempt: Attempt; readonly clients: readonly HostedClient[] }
  | { readonly type: 'advertise'; readonly id: number; readonly owner: string }
  | { readonly type: 'ask'; readonly id: number; readonly owner: string; readonly told: Told }
  /** Its vector as it is, as floats: what a client sends without secure aggregation. */
  | { readonly type: 'plain'; readonly id: number; readonly owner: string }
  | { readonly type: 'usage'; readonly id: number }
  | { readonly type: 'end' };

export interface FromHost {
  readonly type: 'answer';
  readonly id: number;
  /** Undefined: the client is gone. */
  readonly answer: Advert | Said | Float32Array | Usage | undefined;
}

/** Of a process since it began. */
export interface Usage {
  readonly cpuMs: number;
  readonly peakRssBytes: number;
}
