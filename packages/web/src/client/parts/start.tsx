/** Without an invitation: a field for one, and those that this browser has. */

import { type FormEvent, useState } from 'react';
import type { Seat } from '../messages.ts';
import type { Tab } from '../use-tab.ts';
import { Problem } from './problem.tsx';

const STATES: Readonly<Record<Seat['state'], string>> = {
  looking: 'not joined',
  working: 'taking part',
  paused: 'paused',
  over: 'over',
  left: 'withdrawn',
};

export function Start({ tab }: { readonly tab: Tab }) {
  const [link, setLink] = useState('');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void tab.open(link);
  };
  const seats = tab.seats ?? [];
  return (
    <>
      <h1 tabIndex={-1}>Take part in a run</h1>
      <p>
        Somebody invites you to improve a language model together, each with data of their own. Your data stay
        in this browser: it trains here and sends what it has learnt.
      </p>
      {tab.error !== undefined && <Problem error={tab.error} />}
      <form className="card stack" onSubmit={submit}>
        <label htmlFor="link">Your invitation</label>
        <input
          id="link"
          value={link}
          required
          placeholder="https://…/#hw1_…"
          autoComplete="off"
          spellCheck={false}
          aria-describedby="link-hint"
          onChange={(event) => setLink(event.target.value)}
        />
        <p className="hint" id="link-hint">
          The link or the token that you were sent, whole. Opening the link does the same.
        </p>
        <div>
          <button type="submit" className="primary">
            Look at the run
          </button>
        </div>
      </form>
      {seats.length > 0 && (
        <section className="card stack" aria-labelledby="known">
          <h2 id="known">In this browser</h2>
          <ul className="plain">
            {seats.map((seat) => (
              <li key={seat.id} className="row between">
                <span>
                  <strong>{seat.run ?? 'an invitation'}</strong>
                  {seat.owner === null ? '' : ` as ${seat.owner}`} · {STATES[seat.state]}
                </span>
                <button type="button" className="small" onClick={() => tab.choose(seat)}>
                  Open<span className="visually-hidden"> {seat.run ?? 'the invitation'}</span>
                </button>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}
