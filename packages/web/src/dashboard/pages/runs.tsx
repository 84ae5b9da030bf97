/** All runs, newest first. */

import type { RunSummary } from '@headwater/runs/view/summaries.ts';
import { dateTime } from '../../shared/format.ts';
import { Empty, Failure, Loading } from '../../shared/notes.tsx';
import type { About } from '../app.tsx';
import { get } from '../data/api.ts';
import { href } from '../data/router.ts';
import { useLoad } from '../data/use-load.ts';
import { Badge } from '../parts/badge.tsx';
import { Page } from '../parts/page.tsx';
import { Progress } from '../parts/progress.tsx';

const LOOK_MS = 5_000;

export function RunsPage({ about }: { readonly about: About }) {
  const loaded = useLoad('runs', (signal) => get<{ runs: RunSummary[] }>('/runs', signal), LOOK_MS);
  const { value, error, reload } = loaded;
  const begin = about.kind === 'coordinator' && (
    <a className="button primary" href={href(['new'])}>
      New run
    </a>
  );
  return (
    <Page title="Runs" aside={begin}>
      {error !== undefined && <Failure title="The list cannot be refreshed." error={error} retry={reload} />}
      {value === undefined && error === undefined && <Loading what="the runs" />}
      {value?.runs.length === 0 && (
        <Empty title="There are no runs yet.">
          <p className="hint">
            Begin one from a recipe, or give <code>headwater serve</code> one when it starts.
          </p>
          {begin}
        </Empty>
      )}
      {value !== undefined && value.runs.length > 0 && (
        <ul className="cards">
          {value.runs.map((run) => (
            <RunCard key={run.run} {...run} />
          ))}
        </ul>
      )}
    </Page>
  );
}

function RunCard({ run, status, round, rounds, owners, reason, createdMs, about }: RunSummary) {
  const { description, method, model, tuning } = about;
  return (
    <li className="card stack tight">
      <div className="row between">
        <h2>
          <a href={href(['runs', run])}>{run}</a>
        </h2>
        <Badge status={status} />
      </div>
      {description !== null && <p>{description}</p>}
      {reason !== null && <p className="hint lines">{reason}</p>}
      <Progress round={round} rounds={rounds} status={status} />
      <p className="hint">
        {[method, tuning, model].filter((word) => word !== null).join(' · ')}
        {' · '}
        {owners} {owners === 1 ? 'owner' : 'owners'} · begun {dateTime(createdMs)}
      </p>
    </li>
  );
}
