/** The owner's page: one invitation, from looking at it to the result. */

import { Loading } from '../shared/notes.tsx';
import { DataCard } from './parts/data-card.tsx';
import { Decision } from './parts/decision.tsx';
import { ForkedLog, isForked } from './parts/forked-log.tsx';
import { LeavingCard } from './parts/leaving-card.tsx';
import { MachineCard } from './parts/machine-card.tsx';
import { PolicyCard } from './parts/policy-card.tsx';
import { Problem } from './parts/problem.tsx';
import { ResultCard } from './parts/result-card.tsx';
import { RunCard } from './parts/run-card.tsx';
import { Start } from './parts/start.tsx';
import { WorkingCard } from './parts/working-card.tsx';
import { useLook } from './use-look.ts';
import { type Tab, useTab } from './use-tab.ts';

export function App() {
  const tab = useTab();
  return (
    <>
      <header className="top">
        <span className="brand">Headwater</span>
        {tab.seat !== undefined && (
          <button
            type="button"
            className="small"
            onClick={() => tab.choose(undefined)}
            disabled={tab.isWorking}
          >
            All invitations
          </button>
        )}
      </header>
      <main className="page stack">
        <Content tab={tab} />
      </main>
    </>
  );
}

function Content({ tab }: { readonly tab: Tab }) {
  const { seat, seats, error } = tab;
  if (seats === undefined && error === undefined) return <Loading what="what this browser knows" />;
  if (seat === undefined) return <Start tab={tab} />;
  return <SeatView tab={tab} />;
}

function SeatView({ tab }: { readonly tab: Tab }) {
  const { seat, run, error } = tab;
  const look = useLook(tab);
  if (seat === undefined) return null;
  const { state } = seat;
  const isLooking = state === 'looking';
  return (
    <>
      <h1 tabIndex={-1}>{titleOf(tab)}</h1>
      {error !== undefined && (
        <Problem error={error} retry={tab.retry} more={isForked(error) && <ForkedLog tab={tab} />} />
      )}
      {state === 'left' && (
        <p className="note" role="status">
          You have withdrawn. Nothing is asked of this browser any more; your files are removed from it. What
          was sent before stays counted.
        </p>
      )}
      {(state === 'working' || state === 'paused') && <WorkingCard tab={tab} />}
      {state === 'over' && <ResultCard tab={tab} />}
      {run === undefined && error === undefined && state !== 'left' && <Loading what="the run" />}
      {run !== undefined && state !== 'left' && (
        <Fold open={isLooking} title="What this run is">
          <RunCard run={run} />
        </Fold>
      )}
      {run !== undefined && isLooking && <DataCard tab={tab} run={run} look={look} />}
      {run !== undefined && isLooking && <PolicyCard tab={tab} run={run} />}
      {run !== undefined && isLooking && <LeavingCard run={run} look={look.value} />}
      {run !== undefined && isLooking && <MachineCard tab={tab} run={run} />}
      {run !== undefined && isLooking && <Decision tab={tab} run={run} look={look} />}
      {!isLooking && <Forget tab={tab} />}
    </>
  );
}

function titleOf({ seat, run }: Tab): string {
  const name = run?.manifest.run ?? seat?.run;
  return name === undefined || name === null ? 'Your invitation' : `The run “${name}”`;
}

interface FoldProps {
  readonly open: boolean;
  readonly title: string;
  readonly children: React.ReactNode;
}

function Fold({ open, title, children }: FoldProps) {
  if (open) return children;
  return (
    <details className="card">
      <summary>{title}</summary>
      {children}
    </details>
  );
}

function Forget({ tab }: { readonly tab: Tab }) {
  return (
    <details className="card">
      <summary>Remove it from this browser</summary>
      <div className="stack">
        <p>
          Files, key, unfinished work and result of this run are removed from this browser. If the run is not
          over, it cannot be joined again with this invitation; withdraw first if you want to tell the
          operator.
        </p>
        <div>
          <button type="button" className="danger" onClick={() => void tab.forget()}>
            Remove everything of this run
          </button>
        </div>
      </div>
    </details>
  );
}
