/** Every round as it happens, newest first; a round opens to show who sent what. */

import type { RoundRow, UpdateRow } from '@headwater/runs/view/rows.ts';
import { useState } from 'react';
import { bytes, duration, figure, metricName, score } from '../../../shared/format.ts';
import { Empty, Failure, Loading } from '../../../shared/notes.tsx';
import { get } from '../../data/api.ts';
import { shownMetric } from '../../data/curves.ts';
import { validationsOf } from '../../data/run-view.ts';
import { useLoad } from '../../data/use-load.ts';
import { type Column, Table } from '../../parts/table.tsx';
import { Updates } from '../../parts/updates.tsx';
import type { PartProps } from './run.tsx';

/** Older ones are shown on demand. */
const FIRST = 50;

export function Rounds({ run, view }: PartProps) {
  const [open, setOpen] = useState<number | undefined>(undefined);
  const [most, setMost] = useState(FIRST);
  if (view.rounds.length === 0) return <Empty title="No round has begun yet." />;
  const newest = view.rounds.toReversed();
  const metric = shownMetric(view);
  const scores = new Map(validationsOf(view).map(({ round, row }) => [round, row.pooled[metric]]));
  const columns: Column<RoundRow>[] = [
    {
      head: 'Round',
      cell: ({ round }) => (
        <button
          type="button"
          className="small"
          aria-expanded={open === round}
          aria-label={`Updates of round ${round}`}
          onClick={() => setOpen(open === round ? undefined : round)}
        >
          {round} <span aria-hidden="true">{open === round ? '▾' : '▸'}</span>
        </button>
      ),
    },
    { head: 'Phase', cell: phaseText },
    { head: 'Updates', number: true, cell: ({ accepted, asked }) => `${accepted} of ${asked}` },
    { head: 'Lost', number: true, cell: ({ refused, failed }) => refused + failed || '' },
    { head: 'Training loss', number: true, cell: ({ meanLoss }) => score('loss', meanLoss) },
    { head: metricName(metric), number: true, cell: ({ round }) => score(metric, scores.get(round)) },
    { head: 'Training', number: true, cell: ({ phaseMs }) => duration(phaseMs.training) },
    { head: 'Aggregating', number: true, cell: ({ phaseMs }) => duration(phaseMs.aggregating) },
    { head: 'Validating', number: true, cell: ({ phaseMs }) => duration(phaseMs.validating) },
    { head: 'Up', number: true, cell: ({ upBytes }) => bytes(upBytes) },
    { head: 'Down', number: true, cell: ({ downBytes }) => bytes(downBytes) },
    { head: '‖mean update‖', number: true, cell: ({ aggregateNorm }) => figure(aggregateNorm) },
    { head: 'Clamped', number: true, cell: ({ clampedShare }) => clampedText(clampedShare) },
  ];
  return (
    <>
      <Table
        caption="Rounds, newest first"
        rows={newest.slice(0, most)}
        keyOf={({ round }) => round}
        columns={columns}
        below={({ round, seq, figures }) =>
          round !== open ? null : (
            <div className="stack tight">
              <Figures figures={figures} />
              <UpdatesOfRound run={run} round={round} seq={seq} known={view.updates} />
            </div>
          )
        }
      />
      {newest.length > most && (
        <button type="button" onClick={() => setMost(most + 4 * FIRST)}>
          Show older rounds ({newest.length - most} more)
        </button>
      )}
    </>
  );
}

function phaseText({ phase, extensions }: RoundRow): string {
  return extensions === 0 ? phase : `${phase}, extended ${extensions} times`;
}

function clampedText(share: number | null): string {
  if (share === 0) return 'none';
  return share === null ? '–' : `${figure(100 * share)} %`;
}

/** What the method has to say about the round. */
function Figures({ figures }: Pick<RoundRow, 'figures'>) {
  const entries = Object.entries(figures);
  if (entries.length === 0) return null;
  return (
    <p className="hint">
      {entries.map(([name, value]) => `${metricName(name)} ${figure(value)}`).join(' · ')}
    </p>
  );
}

interface UpdatesOfRoundProps {
  readonly run: string;
  readonly round: number;
  readonly seq: number;
  readonly known: readonly UpdateRow[] | null;
}

function UpdatesOfRound({ run, round, seq, known }: UpdatesOfRoundProps) {
  const own = known?.filter((row) => row.round === round);
  return own === undefined ? (
    <AskedUpdates run={run} round={round} seq={seq} />
  ) : (
    <Updates rows={own} caption={`Updates of round ${round}`} />
  );
}

function AskedUpdates({ run, round, seq }: Omit<UpdatesOfRoundProps, 'known'>) {
  const path = `/runs/${encodeURIComponent(run)}/updates?round=${round}`;
  const { value, error, reload } = useLoad(`${path} ${seq}`, (signal) =>
    get<{ updates: UpdateRow[] }>(path, signal),
  );
  if (error !== undefined)
    return <Failure title="The updates cannot be shown." error={error} retry={reload} />;
  if (value === undefined) return <Loading what="the updates" />;
  return <Updates rows={value.updates} caption={`Updates of round ${round}`} />;
}
