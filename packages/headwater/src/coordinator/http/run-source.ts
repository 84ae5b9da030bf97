/**
 * Where pages about runs get what they show: a coordinator, or the folders of local runs. The API over it is the same, so
 * that one set of pages serves both. Reading only.
 */

import type { RunEvent } from '../../federation/events.ts';
import type { ClientSummary, RunSummary } from '../ports.ts';

export interface RunSource {
  /** `local`: virtual clients of this machine; nothing can be steered and nobody invited. */
  readonly kind: 'coordinator' | 'local';
  /** Where clients reach the coordinator. */
  readonly clientUrl: string | null;
  /** Newest first. */
  runs(): Promise<readonly RunSummary[]>;
  /** Throws RUN_NOT_FOUND. */
  summary(run: string): Promise<RunSummary>;
  recipe(run: string): Promise<unknown>;
  events(
    run: string,
    afterSeq: number,
    limit?: number,
  ): Promise<readonly { readonly seq: number; readonly event: RunEvent }[]>;
  clients(run: string): Promise<readonly ClientSummary[]>;
  /** With the files of the result. */
  resultFolder(run: string): string;
  /** Something may be new, or the signal was aborted. */
  changed(run: string, signal: AbortSignal): Promise<void>;
}
