/** The run at a glance: key figures, curves, and what it came to. */

import { bytes, count, duration, metricName, score } from '../../../shared/format.ts';
import { Empty } from '../../../shared/notes.tsx';
import { curvesOf, shownMetric, type TestRow, testRows } from '../../data/curves.ts';
import { maskedSentences, privacySpent } from '../../data/privacy.ts';
import { href } from '../../data/router.ts';
import { isOver, type RunView, validationsOf } from '../../data/run-view.ts';
import { useNow } from '../../data/use-now.ts';
import { Chart } from '../../parts/chart.tsx';
import { type Fact, Facts } from '../../parts/facts.tsx';
import { Table } from '../../parts/table.tsx';
import type { PartProps } from './run.tsx';

export function Overview({ run, view, about }: PartProps) {
  const now = useNow(5_000);
  if (view.totals === null)
    return (
      <Empty
        title={`${view.summary.owners} ${view.summary.owners === 1 ? 'owner has' : 'owners have'} joined so far.`}
      >
        <p className="hint">The run begins when enough owners are there.</p>
        {about.kind === 'coordinator' && (
          <a className="button primary" href={href(['runs', run, 'invite'])}>
            Invite owners
          </a>
        )}
      </Empty>
    );
  const curves = curvesOf(view);
  const attack = view.frame?.attack ?? null;
  return (
    <>
      {attack !== null && <p className="note warn">{attack}</p>}
      <Facts facts={factsOf(view, now)} />
      <Promises view={view} />
      <Tests view={view} />
      {curves.length === 0 ? (
        <Empty title="No round is closed yet.">
          <p className="hint">Curves appear here as rounds close.</p>
        </Empty>
      ) : (
        <div className="charts">
          {curves.map((curve) => (
            <Chart key={curve.title} {...curve} />
          ))}
        </div>
      )}
    </>
  );
}

/** What owners were promised: what noise hides, and what masks hide. */
function Promises({ view: { frame, totals } }: { readonly view: RunView }) {
  const privacy = totals?.privacy ?? null;
  const spent = privacy === null ? undefined : privacySpent(privacy);
  const masked = frame?.secureAggregation ?? null;
  if (privacy === null && masked === null) return null;
  const [first, rest] = maskedSentences(masked ?? '');
  return (
    <div className="charts">
      {privacy !== null && (
        <section className="note" aria-labelledby="privacy">
          <h2 id="privacy">Privacy</h2>
          {spent !== undefined && <p>{spent}</p>}
          {privacy.statement !== null && <p className="hint">{privacy.statement}</p>}
        </section>
      )}
      {masked !== null && (
        <section className="note" aria-labelledby="masked">
          <h2 id="masked">Secure aggregation</h2>
          <p>{first}</p>
          <p className="hint">{rest}</p>
        </section>
      )}
    </div>
  );
}

function robustFacts({ about: { robust } }: RunView['summary']): Fact[] {
  return robust === null ? [] : [{ name: 'In the mean’s place', value: robust, more: 'a robust rule' }];
}

function factsOf(view: RunView, now: number): Fact[] {
  const { frame, totals, summary, owners } = view;
  if (totals === null || frame === null) return [];
  const metric = shownMetric(view);
  const validations = validationsOf(view);
  const at = (i: number) => score(metric, validations.at(i)?.row.pooled[metric]);
  const lost = totals.refused + totals.failed;
  const endMs = isOver(summary) ? totals.lastMs : now;
  const chosen =
    totals.chosenRound === null ? undefined : `the result is that of round ${totals.chosenRound}`;
  return [
    { name: 'Rounds closed', value: `${totals.closedRounds} of ${frame.rounds}`, more: chosen },
    ...(validations.length === 0
      ? []
      : [{ name: metricName(metric), value: at(-1), more: `${at(0)} at the start` }]),
    {
      name: 'Owners',
      value: count(owners.length),
      more: `${frame.cohortSize} in a round, at least ${frame.quorum}`,
    },
    { name: 'Updates accepted', value: count(totals.accepted), more: `${lost} refused or failed` },
    ...robustFacts(summary),
    { name: 'Up', value: bytes(totals.upBytes), more: `${bytes(totals.downBytes)} down` },
    {
      name: 'Tokens trained on',
      // Private runs do not have them told.
      value: totals.accepted > 0 && totals.tokensSeen === 0 ? 'not told' : count(totals.tokensSeen),
      more: `${frame.localSteps} steps a round`,
    },
    {
      name: isOver(summary) ? 'Took' : 'Running for',
      value: duration(endMs - frame.startedMs),
      more: totals.restarts === 0 ? undefined : `taken up again ${totals.restarts} times`,
    },
  ];
}

function Tests({ view }: { readonly view: RunView }) {
  const rows = testRows(view);
  if (rows.length === 0) return null;
  const metric = view.frame?.mainMetric ?? 'loss';
  const range = ({ interval }: TestRow) =>
    interval === undefined ? '' : interval.map((bound) => score(metric, bound)).join(' to ');
  return (
    <section className="stack tight" aria-labelledby="tests">
      <h2 id="tests">On test examples</h2>
      <Table
        caption="Scores on test examples"
        rows={rows}
        keyOf={({ subject }) => subject}
        columns={[
          { head: 'Model', cell: ({ subject }) => subject },
          { head: metricName(metric), number: true, cell: ({ value }) => score(metric, value) },
          ...(rows.some(({ interval }) => interval !== undefined)
            ? [{ head: 'Interval', number: true, cell: range }]
            : []),
          ...(metric === 'loss'
            ? []
            : [{ head: 'Loss', number: true, cell: ({ loss }: TestRow) => score('loss', loss) }]),
          { head: 'Examples', number: true, cell: ({ numExamples }) => count(numExamples) },
        ]}
      />
    </section>
  );
}
