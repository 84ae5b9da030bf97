/** A client at work: what it does, how far it is, and how it is paused or ended. */

import { useRef } from 'react';
import { bytes, count, duration } from '../../shared/format.ts';
import type { SignedRun } from '../messages.ts';
import type { Progress } from '../progress.ts';
import { useNow } from '../use-now.ts';
import type { Tab } from '../use-tab.ts';
import { SecureSteps } from './secure-steps.tsx';

export function WorkingCard({ tab }: { readonly tab: Tab }) {
  const { isWorking, seat, run } = tab;
  const progress = { ...tab.progress, rounds: run?.summary.rounds ?? tab.progress.rounds };
  const isPaused = seat?.state === 'paused';
  return (
    <section className="card stack" aria-labelledby="work">
      <h2 id="work">{isPaused ? 'Paused' : 'Taking part'}</h2>
      <p role="status" className="doing">
        {isPaused
          ? 'Nothing is computed or sent. What was finished is kept.'
          : inWords(progress, isWorking, run)}
      </p>
      {!isPaused && <Bars progress={progress} />}
      {!isPaused && <Silence progress={progress} />}
      {progress.lostState && (
        <p className="note warn">
          What this browser kept between rounds is gone (browsers remove data when space gets short). It takes
          part as if it were new.
        </p>
      )}
      {run !== undefined && run.summary.masking !== null && (
        <SecureSteps masking={run.summary.masking} note={progress.secure} />
      )}
      {progress.machine !== undefined && <p className="hint">{progress.machine.why.join(' ')}</p>}
      <Rounds progress={progress} />
      <div className="row">
        {isPaused || !isWorking ? (
          <button type="button" className="primary" onClick={tab.begin}>
            Go on
          </button>
        ) : (
          <button type="button" onClick={() => void tab.pause()}>
            Pause
          </button>
        )}
        <Withdraw tab={tab} />
      </div>
      <p className="hint">
        You may close the lid or the tab: opened again, the page goes on, or learns that the run went on
        without it. Training stops while the tab is closed.
      </p>
    </section>
  );
}

function inWords(
  { doing, round, rounds, step, steps, model }: Progress,
  isWorking: boolean,
  run: SignedRun | undefined,
): string {
  if (!isWorking) return 'It stands still.';
  const ofRounds = rounds === 0 ? '' : ` of ${count(rounds)}`;
  switch (doing) {
    case 'starting':
      return 'Joining …';
    case 'downloading':
      return `Loading the model: ${model?.path ?? ''}`;
    case 'preparing':
      return 'Preparing data and model …';
    case 'waiting':
      return round === 0
        ? `Waiting for the other owners${run === undefined ? '' : `: the run begins when ${count(run.summary.minOwners)} are there`}.`
        : `Waiting; the run is in round ${count(round)}${ofRounds}.`;
    case 'paused':
      return `Waiting: the run is paused in round ${count(round)}${ofRounds}. What you sent is kept.`;
    case 'training':
      return `Round ${count(round)}${ofRounds}: training, step ${count(step)} of ${count(steps)}.`;
    case 'measuring':
      return 'Measuring on your held-out examples.';
    case 'masking':
      return `Round ${count(round)}${ofRounds}: masking the update together with the other owners.`;
    case 'sending':
      return `Round ${count(round)}: sending the update.`;
    case 'over':
      return 'The run is over; fetching its result.';
  }
}

function Bars({ progress: { doing, model, step, steps, sending } }: { readonly progress: Progress }) {
  const loading = doing === 'downloading' ? model : doing === 'sending' ? sending : undefined;
  if (loading !== undefined)
    return (
      <div className="stack tight">
        <progress value={loading.doneBytes} max={loading.totalBytes} aria-label="Bytes" />
        <span className="hint">
          {bytes(loading.doneBytes)} of {bytes(loading.totalBytes)}
        </span>
      </div>
    );
  if (doing === 'training')
    return <progress value={step} max={Math.max(1, steps)} aria-label="Steps of this round" />;
  return null;
}

function Silence({ progress: { silentSinceMs, nextTryMs } }: { readonly progress: Progress }) {
  const nowMs = useNow(silentSinceMs !== undefined);
  if (silentSinceMs === undefined || nextTryMs === undefined) return null;
  return (
    <div className="note warn" role="status">
      <p className="label">The coordinator does not answer</p>
      <p>
        For {duration(Math.max(0, nowMs - silentSinceMs))}. It is asked again in{' '}
        {duration(Math.max(0, nextTryMs - nowMs))}, and so on until it is back; nothing is lost. Look whether
        this machine is online.
      </p>
    </div>
  );
}

function Rounds({ progress: { notes } }: { readonly progress: Progress }) {
  if (notes.length === 0) return null;
  return (
    <div className="stack tight">
      <Curve losses={notes.flatMap(({ loss }) => loss ?? [])} />
      <div className="scroll">
        <table>
          <caption className="visually-hidden">Your rounds</caption>
          <thead>
            <tr>
              <th scope="col">Round</th>
              <th scope="col" className="number">
                Your last loss
              </th>
              <th scope="col">Update</th>
            </tr>
          </thead>
          <tbody>
            {[...notes].reverse().map(({ round, loss, accepted, reason }) => (
              <tr key={round}>
                <th scope="row">{round}</th>
                <td className="number">{loss === null ? '–' : loss.toFixed(3)}</td>
                <td>
                  {accepted === undefined ? 'under way' : accepted ? 'accepted' : `not used: ${reason ?? ''}`}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </div>
  );
}

/** The shape only; the table beside it has the numbers. */
function Curve({ losses }: { readonly losses: readonly number[] }) {
  if (losses.length < 2) return null;
  const [low, high] = [Math.min(...losses), Math.max(...losses)];
  const y = (loss: number) => 38 - (36 * (loss - low)) / (high - low || 1);
  const points = losses.map((loss, i) => `${(200 * i) / (losses.length - 1)},${y(loss).toFixed(1)}`);
  return (
    <svg className="curve" viewBox="0 0 200 40" preserveAspectRatio="none" aria-hidden="true">
      <polyline points={points.join(' ')} />
    </svg>
  );
}

function Withdraw({ tab }: { readonly tab: Tab }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const yes = () => {
    dialog.current?.close();
    void tab.leave();
  };
  return (
    <>
      <button type="button" className="danger" onClick={() => dialog.current?.showModal()}>
        Withdraw
      </button>
      <dialog ref={dialog} aria-labelledby="withdraw">
        <div className="stack">
          <h2 id="withdraw">Withdraw from the run?</h2>
          <p>
            The coordinator is told, and nothing more is asked of you. Your files are removed from this
            browser. Updates that were averaged already stay in the average.
          </p>
          <div className="row">
            <button type="button" onClick={() => dialog.current?.close()}>
              Stay
            </button>
            <button type="button" className="danger" onClick={yes}>
              Withdraw now
            </button>
          </div>
        </div>
      </dialog>
    </>
  );
}
