/** Signed in or not, and which page: the frame around everything. */

import { useCallback, useEffect, useState } from 'react';
import { Empty, Failure, Loading } from '../shared/notes.tsx';
import { get, post, remove, whenSignedOut } from './data/api.ts';
import { href, type Route, takeKey, useRoute } from './data/router.ts';
import { ComparePage } from './pages/compare.tsx';
import { NewRunPage } from './pages/new-run.tsx';
import { RunPage } from './pages/run/run.tsx';
import { RunsPage } from './pages/runs.tsx';
import { SignInPage } from './pages/sign-in.tsx';
import { Page } from './parts/page.tsx';

/** What answers: a coordinator, or the folders of local runs. */
export interface About {
  readonly kind: 'coordinator' | 'local';
  readonly url: string | null;
  readonly version: string;
}

type Session =
  | { readonly step: 'opening' }
  | { readonly step: 'signed-out' }
  | { readonly step: 'in'; readonly about: About }
  | { readonly step: 'failed'; readonly error: unknown };

export function App() {
  const [session, setSession] = useState<Session>({ step: 'opening' });
  const open = useCallback(() => {
    openSession().then(setSession, (error: unknown) => setSession({ step: 'failed', error }));
  }, []);
  useEffect(() => {
    whenSignedOut(() => setSession({ step: 'signed-out' }));
    open();
  }, [open]);
  if (session.step === 'in') return <Shell about={session.about} onSignOut={() => signOut(setSession)} />;
  if (session.step === 'signed-out') return <SignInPage onSignedIn={open} />;
  const failed = session.step === 'failed';
  return (
    <Page title="Headwater">
      {!failed && <Loading what="the dashboard" />}
      {failed && <Failure title="The dashboard cannot be opened." error={session.error} retry={open} />}
    </Page>
  );
}

async function openSession(): Promise<Session> {
  const token = takeKey();
  if (token !== undefined) await post('/session', { token });
  const { signedIn } = await get<{ signedIn: boolean }>('/session');
  return signedIn ? { step: 'in', about: await get<About>('/about') } : { step: 'signed-out' };
}

async function signOut(setSession: (session: Session) => void): Promise<void> {
  await remove('/session').catch(() => undefined);
  setSession({ step: 'signed-out' });
}

function Shell({ about, onSignOut }: { readonly about: About; readonly onSignOut: () => void }) {
  const route = useRoute();
  const section = route.parts[0] ?? 'runs';
  const link = (to: string, label: string) => (
    <a
      className="top-link"
      href={href(to === 'runs' ? [] : [to])}
      aria-current={section === to ? 'page' : undefined}
    >
      {label}
    </a>
  );
  return (
    <>
      <button type="button" className="skip" onClick={() => document.querySelector('h1')?.focus()}>
        Skip to the content
      </button>
      <header className="top">
        <span className="brand">Headwater</span>
        <nav aria-label="Pages" className="row">
          {link('runs', 'Runs')}
          {link('compare', 'Compare')}
          {about.kind === 'coordinator' && link('new', 'New run')}
        </nav>
        <span className="row end">
          <span className="hint">{about.kind === 'local' ? 'local runs' : 'coordinator'}</span>
          {about.kind === 'coordinator' && (
            <button type="button" className="small" onClick={onSignOut}>
              Sign out
            </button>
          )}
        </span>
      </header>
      <Content route={route} about={about} />
      <footer className="bottom hint">Headwater {about.version}</footer>
    </>
  );
}

function Content({ route, about }: { readonly route: Route; readonly about: About }) {
  const [section = 'runs', run, part] = route.parts;
  if (section === 'runs' && run !== undefined) return <RunPage run={run} part={part} about={about} />;
  if (section === 'runs') return <RunsPage about={about} />;
  if (section === 'compare')
    return <ComparePage chosen={(route.query.get('runs') ?? '').split(',').filter(Boolean)} />;
  if (section === 'new' && about.kind === 'coordinator') return <NewRunPage />;
  return (
    <Page title="There is no such page">
      <Empty title="Nothing is at this address.">
        <a href={href([])}>All runs</a>
      </Empty>
    </Page>
  );
}
