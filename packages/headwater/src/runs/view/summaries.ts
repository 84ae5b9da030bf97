/** What lists say about runs, clients and invitations: plain JSON, the same for the command line and for pages. */

import type { RosterEntry, RunState } from '../../federation/state.ts';
import type { RecipeAbout } from '../../recipe/about.ts';

export interface RunSummary {
  readonly run: string;
  readonly status: 'waiting' | RunState['status'] | 'paused';
  readonly round: number;
  readonly rounds: number;
  readonly owners: number;
  readonly reason: string | null;
  readonly createdMs: number;
  readonly about: RecipeAbout;
}

export interface TokenSummary {
  readonly id: string;
  readonly run: string;
  readonly owner: string | null;
  readonly usesLeft: number;
  readonly expiresMs: number;
}

export interface ClientSummary {
  readonly clientId: string;
  readonly run: string;
  readonly owner: string;
  readonly joinedMs: number;
  readonly lastSeenMs: number | null;
  readonly revoked: boolean;
  readonly standing: 'waiting' | RosterEntry['standing'];
  readonly offences: number;
  /** Program, version and, in brackets, what it computes with: `headwater/0.1.0 (cpu; node 24.1; linux-x64)`. */
  readonly software: string;
}
