/** Who takes part: standing, device, speed, when it was heard, what was refused and why. */

import type { UpdateRow } from '@headwater/runs/view/rows.ts';
import type { ClientSummary } from '@headwater/runs/view/summaries.ts';
import { useState } from 'react';
import { ago, bytes, count, figure, score, UNKNOWN } from '../../../shared/format.ts';
import { Empty, Failure, Loading } from '../../../shared/notes.tsx';
import { get, post } from '../../data/api.ts';
import { type ClientRow, clientRows, softwareParts } from '../../data/clients.ts';
import { useLoad } from '../../data/use-load.ts';
import { useNow } from '../../data/use-now.ts';
import { Badge } from '../../parts/badge.tsx';
import { Confirm } from '../../parts/confirm.tsx';
import { type Column, Table } from '../../parts/table.tsx';
import { Updates } from '../../parts/updates.tsx';
import type { PartProps } from './run.tsx';

const LOOK_MS = 5_000;

export function Clients({ run, view, about }: PartProps) {
  const path = `/runs/${encodeURIComponent(run)}`;
  const { value, error, reload } = useLoad(
    `${path}/clients`,
    (signal) => get<{ clients: ClientSummary[] }>(`${path}/clients`, signal),
    LOOK_MS,
  );
  const now = useNow(LOOK_MS);
  const [open, setOpen] = useState<string | undefined>(undefined);
  if (value === undefined)
    return error === undefined ? (
      <Loading what="the clients" />
    ) : (
      <Failure title="The clients cannot be shown." error={error} retry={reload} />
    );
  const rows = clientRows(value.clients, view.owners);
  const local = about.kind === 'local';
  if (rows.length === 0)
    return (
      <Empty title={local ? 'The run has no clients yet.' : 'Nobody has joined yet.'}>
        {!local && <p className="hint">Invitations are made under Invite.</p>}
      </Empty>
    );
  const actions: Column<ClientRow> = {
    head: 'Actions',
    cell: (row) => <Actions row={row} run={run} done={reload} />,
  };
  const columns = [nameColumn(open, setOpen), ...columnsOf(now), ...(local ? [] : [actions])];
  return (
    <>
      {error !== undefined && <Failure title="The list cannot be refreshed." error={error} retry={reload} />}
      <Table
        caption={`Clients of ${run}`}
        rows={rows}
        keyOf={({ key }) => key}
        columns={columns}
        stacks
        below={({ key, owner }) =>
          key === open ? <UpdatesOf run={run} owner={owner} seq={view.seq} /> : null
        }
      />
    </>
  );
}

function nameColumn(open: string | undefined, setOpen: (key: string | undefined) => void): Column<ClientRow> {
  return {
    head: 'Owner',
    cell: ({ key, owner }) => (
      <button
        type="button"
        className="small"
        aria-expanded={open === key}
        aria-label={`Updates of ${owner}`}
        onClick={() => setOpen(open === key ? undefined : key)}
      >
        {owner} <span aria-hidden="true">{open === key ? '▾' : '▸'}</span>
      </button>
    ),
  };
}

function columnsOf(now: number): Column<ClientRow>[] {
  return [
    { head: 'Standing', cell: ({ standing }) => <Badge status={standing} /> },
    { head: 'Device', cell: ({ client }) => <Device client={client} /> },
    { head: 'Heard', cell: ({ seenMs }) => <span className="nowrap-text">{ago(seenMs, now)}</span> },
    {
      head: 'Speed',
      number: true,
      cell: ({ figures }) =>
        figures?.tokensPerSecond == null ? UNKNOWN : `${figure(figures.tokensPerSecond)} tokens/s`,
    },
    { head: 'Examples', number: true, cell: ({ figures }) => count(figures?.numExamples) },
    { head: 'Accepted', number: true, cell: ({ figures }) => count(figures?.accepted) },
    {
      head: 'Last loss',
      number: true,
      cell: ({ figures }) =>
        figures !== null && figures.accepted > 0 && figures.lastLoss === null
          ? 'not told'
          : score('loss', figures?.lastLoss),
    },
    { head: 'Sent', number: true, cell: ({ figures }) => bytes(figures?.upBytes) },
    { head: 'Refused or failed', cell: refusals },
  ];
}

function Device({ client }: Pick<ClientRow, 'client'>) {
  if (client === null) return 'this machine';
  const { program, device } = softwareParts(client.software);
  return (
    <>
      {device ?? program}
      {device !== undefined && <span className="hint block">{program}</span>}
    </>
  );
}

function refusals({ figures }: ClientRow) {
  if (figures === null || figures.refused + figures.failed === 0) return 'none';
  const { refused, failed, lastRefusal } = figures;
  return (
    <span className="block wide">
      {refused + failed}
      {lastRefusal !== null && (
        <span className="wrong block">
          round {lastRefusal.round}:{' '}
          {lastRefusal.code === 'failed' ? 'failed' : `refused (${lastRefusal.code})`}, {lastRefusal.reason}
        </span>
      )}
    </span>
  );
}

interface ActionsProps {
  readonly row: ClientRow;
  readonly run: string;
  readonly done: () => void;
}

function Actions({ row: { client, owner, standing }, run, done }: ActionsProps) {
  const act = (path: string) => async () => {
    await post(path);
    done();
  };
  return (
    <span className="row">
      {standing === 'quarantined' && (
        <Confirm
          label="Pardon"
          question={`Ask ${owner} again?`}
          explanation="It was excluded after too many updates that could not be used."
          act={act(`/runs/${encodeURIComponent(run)}/owners/${encodeURIComponent(owner)}/pardon`)}
        />
      )}
      {client !== null && !client.revoked && (
        <Confirm
          label="Revoke"
          danger
          question={`Revoke the key of ${owner}?`}
          explanation="Its requests are refused from now on, in every run, and its owner leaves the run. It can join again with a new invitation."
          act={act(`/clients/${client.clientId}/revoke`)}
        />
      )}
    </span>
  );
}

function UpdatesOf({
  run,
  owner,
  seq,
}: {
  readonly run: string;
  readonly owner: string;
  readonly seq: number;
}) {
  const path = `/runs/${encodeURIComponent(run)}/updates?owner=${encodeURIComponent(owner)}`;
  const { value, error, reload } = useLoad(`${path} ${seq}`, (signal) =>
    get<{ updates: UpdateRow[] }>(path, signal),
  );
  if (error !== undefined)
    return <Failure title="The updates cannot be shown." error={error} retry={reload} />;
  if (value === undefined) return <Loading what="the updates" />;
  return <Updates rows={value.updates.toReversed()} caption={`Updates of ${owner}, newest first`} />;
}
