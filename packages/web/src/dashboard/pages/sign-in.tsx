/** The admin token once, for a session of twelve hours. */

import { type FormEvent, useState } from 'react';
import { Failure } from '../../shared/notes.tsx';
import { post } from '../data/api.ts';
import { Page } from '../parts/page.tsx';

export function SignInPage({ onSignedIn }: { readonly onSignedIn: () => void }) {
  const [token, setToken] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(undefined);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      await post('/session', { token });
      onSignedIn();
    } catch (cause) {
      setError(cause);
      setBusy(false);
    }
  };
  return (
    <Page title="Sign in to Headwater">
      <form className="card stack narrow" onSubmit={submit}>
        <p>These pages are for the operator of this coordinator.</p>
        {/* For password managers, which keep a name beside a password. */}
        <input type="text" name="username" autoComplete="username" value="operator" readOnly hidden />
        <div className="field">
          <label htmlFor="token">Admin token</label>
          <input
            id="token"
            type="password"
            autoComplete="current-password"
            required
            value={token}
            aria-describedby="token-hint"
            onChange={(event) => setToken(event.target.value)}
          />
          <p className="hint" id="token-hint">
            It lies in the file <code>admin.token</code> in the coordinator’s folder. This browser is
            remembered for twelve hours; the token itself is not kept.
          </p>
        </div>
        {error !== undefined && <Failure title="Signing in failed." error={error} />}
        <div className="row">
          <button type="submit" className="primary" disabled={busy}>
            {busy ? 'Signing in …' : 'Sign in'}
          </button>
        </div>
      </form>
    </Page>
  );
}
