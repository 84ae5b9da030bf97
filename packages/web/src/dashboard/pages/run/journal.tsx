/** The journal, page by page: what the run was decided by, event for event. */

import type { RunEvent } from '@headwater/federation/events.ts';
import { useState } from 'react';
import { dateTime } from '../../../shared/format.ts';
import { Empty, Failure, Loading } from '../../../shared/notes.tsx';
import { get } from '../../data/api.ts';
import { useLoad } from '../../data/use-load.ts';
import { Table } from '../../parts/table.tsx';
import type { PartProps } from './run.tsx';

const PAGE = 50;

interface Entry {
  readonly seq: number;
  readonly event: RunEvent;
}

export function Journal({ run, view }: PartProps) {
  const last = Math.max(0, Math.ceil(view.seq / PAGE) - 1);
  /** Null: the newest page, also when it becomes another one. */
  const [chosen, setChosen] = useState<number | null>(null);
  const [open, setOpen] = useState<number | undefined>(undefined);
  const page = Math.min(chosen ?? last, last);
  const path = `/runs/${encodeURIComponent(run)}/journal?after=${page * PAGE}&limit=${PAGE}`;
  // A page that is full does not change.
  const version = page === last ? view.seq : 0;
  const { value, error, reload } = useLoad(`${path} ${version}`, (signal) =>
    get<{ entries: Entry[] }>(path, signal),
  );
  if (view.seq === 0) return <Empty title="Nothing has happened yet." />;
  return (
    <>
      <Pager page={page} last={last} go={(to) => setChosen(to >= last ? null : to)} />
      {error !== undefined && <Failure title="The journal cannot be read." error={error} retry={reload} />}
      {value === undefined && error === undefined && <Loading what="the journal" />}
      {value !== undefined && (
        <Table
          caption={`Events of ${run}, page ${page + 1} of ${last + 1}`}
          rows={value.entries}
          keyOf={({ seq }) => seq}
          columns={[
            {
              head: 'Event',
              cell: ({ seq }) => (
                <button
                  type="button"
                  className="small"
                  aria-expanded={open === seq}
                  aria-label={`Event ${seq} in full`}
                  onClick={() => setOpen(open === seq ? undefined : seq)}
                >
                  {seq} <span aria-hidden="true">{open === seq ? '▾' : '▸'}</span>
                </button>
              ),
            },
            { head: 'What', cell: ({ event }) => <code>{event.type}</code> },
            { head: 'About', cell: ({ event }) => aboutText(event) },
            {
              head: 'When',
              cell: ({ event }) => dateTime((event.observed as { endedMs?: number } | undefined)?.endedMs),
            },
          ]}
          below={({ seq, event }) => (seq === open ? <pre>{JSON.stringify(event, null, 2)}</pre> : null)}
        />
      )}
    </>
  );
}

/** The few words that tell one event from the next. */
function aboutText(event: RunEvent): string {
  const { round, owner, evaluation, arm, reason } = event as unknown as Partial<
    Record<string, string | number>
  >;
  const refused =
    event.type === 'update-received' && !event.check.ok ? `refused: ${event.check.reason}` : undefined;
  const words = [
    round === undefined ? undefined : `round ${round}`,
    ...[owner, evaluation, arm, reason, refused],
  ];
  return words.filter((word) => word !== undefined).join(', ');
}

interface PagerProps {
  readonly page: number;
  readonly last: number;
  readonly go: (page: number) => void;
}

function Pager({ page, last, go }: PagerProps) {
  const button = (label: string, to: number, off: boolean) => (
    <button type="button" className="small" disabled={off} onClick={() => go(to)}>
      {label}
    </button>
  );
  return (
    <nav aria-label="Pages of the journal" className="row">
      {button('First', 0, page === 0)}
      {button('Older', page - 1, page === 0)}
      <span className="hint">
        page {page + 1} of {last + 1}
      </span>
      {button('Newer', page + 1, page === last)}
      {button('Newest', last, page === last)}
    </nav>
  );
}
