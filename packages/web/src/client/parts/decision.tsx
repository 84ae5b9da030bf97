/** Yes or no, after everything was shown. */

import type { SignedRun } from '../messages.ts';
import type { Look } from '../use-look.ts';
import type { Tab } from '../use-tab.ts';

interface DecisionProps {
  readonly tab: Tab;
  readonly run: SignedRun;
  readonly look: Look;
}

export function Decision({ tab, run, look }: DecisionProps) {
  const missing = whatIsMissing(run, look);
  return (
    <section className="card stack" aria-labelledby="decide">
      <h2 id="decide">Take part?</h2>
      <p id="decide-hint">
        {missing ??
          'Nothing has left this browser yet but the token of your invitation. You can pause and withdraw at any time.'}
      </p>
      <div className="row">
        <button
          type="button"
          className="primary"
          disabled={missing !== undefined}
          aria-describedby="decide-hint"
          onClick={tab.begin}
        >
          Accept and take part
        </button>
        <button type="button" onClick={() => void tab.forget()}>
          Refuse, and remove everything here
        </button>
      </div>
    </section>
  );
}

function whatIsMissing({ reasons }: SignedRun, { value, busy, error }: Look): string | undefined {
  if (reasons.length > 0) return 'Your limits refuse this run, as said above.';
  if (error !== undefined) return 'Your data cannot be used yet; above it says why.';
  if (busy) return 'Your files are being read.';
  return value === undefined ? 'Choose your data first.' : undefined;
}
