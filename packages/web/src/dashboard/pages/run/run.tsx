/** One run: its head, where it stands, and a page for each side of it. */

import { Empty, Failure, Loading } from '../../../shared/notes.tsx';
import type { About } from '../../app.tsx';
import { href } from '../../data/router.ts';
import { isOver, type RunView } from '../../data/run-view.ts';
import { type FollowedRun, useRunView } from '../../data/use-run-view.ts';
import { Badge } from '../../parts/badge.tsx';
import { Page } from '../../parts/page.tsx';
import { Progress } from '../../parts/progress.tsx';
import { Clients } from './clients.tsx';
import { Files } from './files.tsx';
import { Invite } from './invite.tsx';
import { Journal } from './journal.tsx';
import { Overview } from './overview.tsx';
import { Recipe } from './recipe.tsx';
import { Rounds } from './rounds.tsx';
import { Steering } from './steering.tsx';

export interface PartProps {
  readonly run: string;
  readonly view: RunView;
  readonly about: About;
}

interface Part {
  readonly id: string;
  readonly label: string;
  readonly show: (props: PartProps) => React.ReactNode;
  /** Of a coordinator's runs only. */
  readonly remote?: true;
}

const PARTS: readonly Part[] = [
  { id: '', label: 'Overview', show: (props) => <Overview {...props} /> },
  { id: 'rounds', label: 'Rounds', show: (props) => <Rounds {...props} /> },
  { id: 'clients', label: 'Clients', show: (props) => <Clients {...props} /> },
  { id: 'recipe', label: 'Recipe', show: ({ run }) => <Recipe run={run} /> },
  { id: 'journal', label: 'Journal', show: (props) => <Journal {...props} /> },
  { id: 'files', label: 'Files', show: (props) => <Files {...props} /> },
  { id: 'invite', label: 'Invite', show: (props) => <Invite {...props} />, remote: true },
];

export interface RunPageProps {
  readonly run: string;
  readonly part: string | undefined;
  readonly about: About;
}

export function RunPage({ run, part = '', about }: RunPageProps) {
  const followed = useRunView(run);
  const { view, error, retry } = followed;
  const parts = PARTS.filter(({ remote }) => remote !== true || about.kind === 'coordinator');
  const shown = parts.find(({ id }) => id === part);
  return (
    <Page
      title={shown === undefined || part === '' ? run : `${run}: ${shown.label}`}
      aside={view !== undefined && <Badge status={view.summary.status} />}
    >
      {error !== undefined && <Failure title="The run cannot be shown." error={error} retry={retry} />}
      {view === undefined && error === undefined && <Loading what="the run" />}
      {view !== undefined && (
        <>
          <Head view={view} followed={followed} about={about} />
          <nav aria-label={`Sides of ${run}`} className="tabs" ref={showCurrent}>
            {parts.map(({ id, label }) => (
              <a
                key={id}
                className="tab"
                href={href(id === '' ? ['runs', run] : ['runs', run, id])}
                aria-current={id === part ? 'page' : undefined}
              >
                {label}
              </a>
            ))}
          </nav>
          {shown === undefined ? (
            <Empty title="The run has no such page." />
          ) : (
            shown.show({ run, view, about })
          )}
        </>
      )}
    </Page>
  );
}

/** On narrow screens the tabs scroll. */
function showCurrent(tabs: HTMLElement | null): void {
  tabs?.querySelector('[aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
}

interface HeadProps {
  readonly view: RunView;
  readonly followed: FollowedRun;
  readonly about: About;
}

function Head({ view: { summary }, followed, about }: HeadProps) {
  const { reason, about: words } = summary;
  return (
    <div className="stack tight">
      {words.description !== null && <p>{words.description}</p>}
      {reason !== null && <p className="hint lines">{reason}</p>}
      <div className="row between">
        <Progress {...summary} />
        <Connection {...followed} />
        {about.kind === 'coordinator' && !isOver(summary) && <Steering summary={summary} />}
      </div>
    </div>
  );
}

const CONNECTIONS: Readonly<Record<FollowedRun['connection'], string>> = {
  opening: 'connecting',
  live: 'live',
  lost: 'connection lost, trying again',
  still: '',
};

function Connection({ connection }: FollowedRun) {
  return (
    <span role="status" className={`connection ${connection}`}>
      {CONNECTIONS[connection]}
    </span>
  );
}
