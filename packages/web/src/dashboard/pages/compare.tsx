/** Runs side by side: choose some, see their curves over rounds, bytes or time, their results, and how their recipes differ. */

import type { RunSummary } from '@headwater/runs/view/summaries.ts';
import { useState } from 'react';
import { bytes, count, duration, metricName, score } from '../../shared/format.ts';
import { Empty, Failure, Loading } from '../../shared/notes.tsx';
import { get } from '../data/api.ts';
import { type Axis, comparedCurves, differences, type Named, testScore } from '../data/compare.ts';
import { goTo, href } from '../data/router.ts';
import { type ViewMessage, withMessage } from '../data/run-view.ts';
import { useLoad } from '../data/use-load.ts';
import { Badge } from '../parts/badge.tsx';
import { Chart } from '../parts/chart.tsx';
import { Page } from '../parts/page.tsx';
import { Table } from '../parts/table.tsx';

const LOOK_MS = 5_000;
/** More lines tell nothing. */
const MOST = 8;

export function ComparePage({ chosen }: { readonly chosen: readonly string[] }) {
  const { value, error, reload } = useLoad('runs', (signal) => get<{ runs: RunSummary[] }>('/runs', signal));
  return (
    <Page title="Compare runs">
      {error !== undefined && <Failure title="The runs cannot be listed." error={error} retry={reload} />}
      {value === undefined && error === undefined && <Loading what="the runs" />}
      {value !== undefined && <Chooser runs={value.runs} chosen={chosen} />}
      {chosen.length > 0 && <Comparison key={chosen.join()} chosen={chosen} />}
    </Page>
  );
}

interface ChooserProps {
  readonly runs: readonly RunSummary[];
  readonly chosen: readonly string[];
}

function Chooser({ runs, chosen }: ChooserProps) {
  if (runs.length === 0) return <Empty title="There are no runs yet." />;
  const toggle = (run: string) => {
    const next = chosen.includes(run) ? chosen.filter((other) => other !== run) : [...chosen, run];
    goTo(href(['compare'], next.length === 0 ? {} : { runs: next.join(',') }));
  };
  return (
    <fieldset className="card">
      <legend>Runs</legend>
      <ul className="choices">
        {runs.map(({ run, status, about }) => (
          <li key={run} className="row nowrap">
            <input
              type="checkbox"
              id={`run-${run}`}
              checked={chosen.includes(run)}
              disabled={!chosen.includes(run) && chosen.length >= MOST}
              onChange={() => toggle(run)}
            />
            <label htmlFor={`run-${run}`}>{run}</label>
            <span className="hint">{about.method}</span>
            <Badge status={status} />
          </li>
        ))}
      </ul>
      {chosen.length === 0 && <p className="hint">Choose two or more.</p>}
    </fieldset>
  );
}

interface Compared {
  readonly runs: readonly Named[];
  readonly recipes: readonly unknown[];
}

async function load(chosen: readonly string[], signal: AbortSignal): Promise<Compared> {
  const path = (run: string) => `/runs/${encodeURIComponent(run)}`;
  const views = await Promise.all(chosen.map((run) => get<ViewMessage>(`${path(run)}/view`, signal)));
  const recipes = await Promise.all(
    chosen.map((run) => get<{ recipe: unknown }>(`${path(run)}/recipe`, signal)),
  );
  return {
    runs: chosen.map((run, i) => ({ run, view: withMessage(undefined, views[i]!) })),
    recipes: recipes.map(({ recipe }) => recipe),
  };
}

function Comparison({ chosen }: { readonly chosen: readonly string[] }) {
  const [axis, setAxis] = useState<Axis>('round');
  const { value, error, reload } = useLoad(chosen.join(), (signal) => load(chosen, signal), LOOK_MS);
  if (value === undefined)
    return error === undefined ? (
      <Loading what="the curves" />
    ) : (
      <Failure title="The runs cannot be compared." error={error} retry={reload} />
    );
  const curves = comparedCurves(value.runs, axis);
  return (
    <>
      <Results runs={value.runs} />
      <div className="field short">
        <label htmlFor="axis">Curves over</label>
        <select id="axis" value={axis} onChange={({ target }) => setAxis(target.value as Axis)}>
          <option value="round">rounds</option>
          <option value="bytes">bytes that owners sent</option>
          <option value="time">time</option>
        </select>
      </div>
      {curves.length === 0 ? (
        <Empty title="None of them has closed a round." />
      ) : (
        <div className="charts">
          {curves.map((curve) => (
            <Chart key={curve.title} {...curve} />
          ))}
        </div>
      )}
      <Differences chosen={chosen} recipes={value.recipes} />
    </>
  );
}

function Results({ runs }: Pick<Compared, 'runs'>) {
  const metrics = [...new Set(runs.map(({ view }) => view.frame?.mainMetric ?? 'loss'))];
  return (
    <section className="stack tight" aria-labelledby="results">
      <h2 id="results">Results</h2>
      <Table
        caption="Results of the runs"
        rows={runs}
        keyOf={({ run }) => run}
        columns={[
          { head: 'Run', cell: ({ run }) => <a href={href(['runs', run])}>{run}</a> },
          { head: 'Status', cell: ({ view }) => <Badge status={view.summary.status} /> },
          { head: 'Rounds', number: true, cell: ({ view }) => count(view.totals?.closedRounds) },
          ...metrics.map((metric) => ({
            head: `Test ${metricName(metric).toLowerCase()}`,
            number: true,
            cell: ({ view }: Named) => score(metric, testScore(view, 'federated', metric)),
          })),
          {
            head: 'Before',
            number: true,
            cell: ({ view }) => score(metrics[0]!, testScore(view, 'base', metrics[0]!)),
          },
          { head: 'Up', number: true, cell: ({ view }) => bytes(view.totals?.upBytes) },
          { head: 'Down', number: true, cell: ({ view }) => bytes(view.totals?.downBytes) },
          { head: 'Tokens', number: true, cell: ({ view }) => count(view.totals?.tokensSeen) },
          { head: 'Lost updates', number: true, cell: ({ view }) => lost(view) },
          { head: 'Time', number: true, cell: ({ view }) => duration(timeOf(view)) },
        ]}
      />
    </section>
  );
}

function lost({ totals }: Named['view']): string {
  return totals === null ? '–' : count(totals.refused + totals.failed);
}

function timeOf({ totals, frame }: Named['view']): number | undefined {
  return totals === null || frame === null ? undefined : totals.lastMs - frame.startedMs;
}

function Differences({
  chosen,
  recipes,
}: {
  readonly chosen: readonly string[];
  readonly recipes: readonly unknown[];
}) {
  if (recipes.length < 2) return null;
  const rows = differences(recipes);
  return (
    <section className="stack tight" aria-labelledby="differences">
      <h2 id="differences">Where the recipes differ</h2>
      {rows.length === 0 ? (
        <p className="hint">They ask for the same.</p>
      ) : (
        <Table
          caption="Where the recipes differ"
          rows={rows}
          keyOf={({ key }) => key}
          columns={[
            { head: 'Setting', cell: ({ key }) => <code>{key}</code> },
            ...chosen.map((run, i) => ({
              head: run,
              cell: ({ values }: (typeof rows)[number]) => <span className="break">{values[i]}</span>,
            })),
          ]}
        />
      )}
    </section>
  );
}
