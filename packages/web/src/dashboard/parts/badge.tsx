/** A status in a word and a colour; the word is enough. */

import type { ClientSummary, RunSummary } from '@headwater/runs/view/summaries.ts';

type Tone = 'good' | 'warn' | 'bad' | 'busy' | 'quiet';

const TONES: Readonly<Record<RunSummary['status'] | ClientSummary['standing'] | 'revoked', Tone>> = {
  waiting: 'quiet',
  running: 'busy',
  paused: 'warn',
  finished: 'good',
  failed: 'bad',
  cancelled: 'quiet',
  active: 'good',
  quarantined: 'bad',
  left: 'quiet',
  revoked: 'bad',
};

export function Badge({ status }: { readonly status: keyof typeof TONES }) {
  return <span className={`badge ${TONES[status]}`}>{status}</span>;
}
