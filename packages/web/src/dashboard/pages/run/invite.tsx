/** Invitations: a link with a token behind `#`, as a QR code and as the line to type. The secret is shown once. */

import type { TokenSummary } from '@headwater/runs/view/summaries.ts';
import { type FormEvent, useState } from 'react';
import { dateTime } from '../../../shared/format.ts';
import { Empty, Failure, Loading } from '../../../shared/notes.tsx';
import { get, post, remove } from '../../data/api.ts';
import { useLoad } from '../../data/use-load.ts';
import { Confirm } from '../../parts/confirm.tsx';
import { CopyButton } from '../../parts/copy-button.tsx';
import { QrCode } from '../../parts/qr-code.tsx';
import { Table } from '../../parts/table.tsx';
import type { PartProps } from './run.tsx';

const DAY_SECONDS = 86_400;

interface Made {
  readonly owner: string;
  readonly link: string;
}

export function Invite({ run, about }: PartProps) {
  const path = `/runs/${encodeURIComponent(run)}/tokens`;
  const tokens = useLoad(path, (signal) => get<{ tokens: TokenSummary[] }>(path, signal));
  const [made, setMade] = useState<Made | undefined>(undefined);
  const invite = async (wanted: Wanted) => {
    const { owner, uses, days } = wanted;
    const body = { owner: owner === '' ? null : owner, uses, ttlSeconds: days * DAY_SECONDS };
    const { text } = await post<{ text: string }>(path, body);
    setMade({ owner, link: `${about.url}/#${text}` });
    tokens.reload();
  };
  return (
    <div className="columns">
      <InviteForm invite={invite} />
      {made === undefined ? (
        <Empty title="An invitation appears here.">
          <p className="hint">It names the run and its owner, and works for whoever holds it.</p>
        </Empty>
      ) : (
        <Invitation {...made} />
      )}
      <section className="stack tight whole" aria-labelledby="open-invitations">
        <h2 id="open-invitations">Open invitations</h2>
        <Tokens tokens={tokens} />
      </section>
    </div>
  );
}

interface Wanted {
  readonly owner: string;
  readonly uses: number;
  readonly days: number;
}

function InviteForm({ invite }: { readonly invite: (wanted: Wanted) => Promise<void> }) {
  const [wanted, setWanted] = useState<Wanted>({ owner: '', uses: 1, days: 7 });
  const [error, setError] = useState<unknown>(undefined);
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    await invite(wanted).catch(setError);
    setBusy(false);
  };
  const named = wanted.owner !== '';
  return (
    <form className="card stack" onSubmit={submit} aria-labelledby="invite-title">
      <h2 id="invite-title">Invite</h2>
      <div className="field">
        <label htmlFor="owner">Name of the owner</label>
        <input
          id="owner"
          value={wanted.owner}
          pattern="[a-z0-9][a-z0-9._\-]{0,62}"
          aria-describedby="owner-hint"
          autoComplete="off"
          autoCapitalize="none"
          onChange={(event) => setWanted({ ...wanted, owner: event.target.value, uses: 1 })}
        />
        <p className="hint" id="owner-hint">
          Lower-case letters, digits, dots, dashes. Left empty, each client gets a free name.
        </p>
      </div>
      <div className="row fields">
        <div className="field">
          <label htmlFor="uses">Uses</label>
          <input
            id="uses"
            type="number"
            min={1}
            max={1_000_000}
            required
            disabled={named}
            value={wanted.uses}
            onChange={(event) => setWanted({ ...wanted, uses: event.target.valueAsNumber })}
          />
        </div>
        <div className="field">
          <label htmlFor="days">Days it works</label>
          <input
            id="days"
            type="number"
            min={1}
            max={3650}
            required
            value={wanted.days}
            onChange={(event) => setWanted({ ...wanted, days: event.target.valueAsNumber })}
          />
        </div>
      </div>
      {error !== undefined && <Failure title="The invitation was not made." error={error} />}
      <div className="row">
        <button type="submit" className="primary" disabled={busy}>
          Make an invitation
        </button>
      </div>
    </form>
  );
}

function Invitation({ owner, link }: Made) {
  const line = `headwater join '${link}' --data FILE`;
  return (
    <section className="card stack" aria-labelledby="invitation-title">
      <h2 id="invitation-title">Invitation {owner === '' ? '' : `for ${owner}`}</h2>
      <p className="note warn">
        It is shown this once. Whoever has it can join; send it as you would a password.
      </p>
      <QrCode text={link} label="QR code of the invitation’s link" />
      <p className="hint">To open in a browser:</p>
      <pre className="wrap">{link}</pre>
      <CopyButton text={link} what="link" />
      <p className="hint">Or on a machine with Headwater:</p>
      <pre className="wrap">{line}</pre>
      <CopyButton text={line} what="line" />
    </section>
  );
}

function Tokens({ tokens }: { readonly tokens: ReturnType<typeof useLoad<{ tokens: TokenSummary[] }>> }) {
  const { value, error, reload } = tokens;
  if (error !== undefined)
    return <Failure title="The invitations cannot be listed." error={error} retry={reload} />;
  if (value === undefined) return <Loading what="the invitations" />;
  const open = value.tokens.filter(({ usesLeft, expiresMs }) => usesLeft > 0 && expiresMs > Date.now());
  if (open.length === 0) return <Empty title="There are none." />;
  const revoke = (id: string) => async () => {
    await remove(`/tokens/${id}`);
    reload();
  };
  return (
    <Table
      caption="Open invitations"
      rows={open}
      keyOf={({ id }) => id}
      stacks
      columns={[
        { head: 'Owner', cell: ({ owner }) => owner ?? 'any' },
        { head: 'Uses left', number: true, cell: ({ usesLeft }) => usesLeft },
        {
          head: 'Works until',
          cell: ({ expiresMs }) => dateTime(expiresMs),
        },
        {
          head: 'Actions',
          cell: ({ id, owner }) => (
            <Confirm
              label="Revoke"
              danger
              question={`Revoke the invitation for ${owner ?? 'anybody'}?`}
              explanation="Nobody can join with it any more. Whoever joined with it stays."
              act={revoke(id)}
            />
          ),
        },
      ]}
    />
  );
}
