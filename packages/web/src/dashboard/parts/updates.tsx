/** Updates as a table: who sent what, what became of it. What an owner does not tell is not there. */

import type { UpdateRow } from '@headwater/runs/view/rows.ts';
import { bytes, count, duration, figure, score } from '../../shared/format.ts';
import { Table } from './table.tsx';

export interface UpdatesProps {
  readonly rows: readonly UpdateRow[];
  readonly caption: string;
}

export function Updates({ rows, caption }: UpdatesProps) {
  if (rows.length === 0) return <p className="hint">Nobody has answered yet.</p>;
  return (
    <Table
      caption={caption}
      rows={rows}
      keyOf={({ seq }) => seq}
      columns={[
        { head: 'Owner', cell: ({ owner }) => owner },
        { head: 'Round', number: true, cell: ({ round }) => round },
        { head: 'Outcome', cell: outcome },
        {
          head: 'Loss',
          number: true,
          cell: ({ meanLoss }) => (meanLoss === null ? 'not told' : score('loss', meanLoss)),
        },
        { head: 'Steps', number: true, cell: ({ steps }) => count(steps) },
        { head: 'Tokens', number: true, cell: ({ numTokens }) => count(numTokens) },
        { head: 'Took', number: true, cell: ({ tookMs }) => duration(tookMs) },
        { head: '‖update‖', number: true, cell: ({ updateNorm }) => figure(updateNorm) },
        { head: 'Up', number: true, cell: ({ upBytes }) => bytes(upBytes) },
      ]}
    />
  );
}

function outcome({ accepted, code, reason }: UpdateRow) {
  if (accepted) return 'accepted';
  return (
    <span className="wrong">
      {code === 'failed' ? 'failed' : `refused: ${code}`}
      {reason !== null && <span className="hint"> {reason}</span>}
    </span>
  );
}
