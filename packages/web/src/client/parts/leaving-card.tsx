/** What leaves the browser and what never does. */

import { bytes, count, metricName } from '../../shared/format.ts';
import type { SignedRun, TabLook } from '../messages.ts';

export function LeavingCard({ run, look }: { readonly run: SignedRun; readonly look: TabLook | undefined }) {
  const { rounds, masking } = run.summary;
  const size = look === undefined ? '' : ` (about ${bytes(look.updateBytes)})`;
  const told = look?.metrics.told ?? run.manifest.metrics;
  const kept = look?.metrics.kept ?? [];
  return (
    <section className="card stack" aria-labelledby="leaves">
      <h2 id="leaves">What leaves, what stays</h2>
      <div className="columns">
        <div>
          <h3>Leaves this browser</h3>
          <ul>
            <li>a public key made for this run, and the version of this page</li>
            <li>how many examples and tokens you have{look && ` (${count(look.split.train)} examples)`}</li>
            <li>
              after each of up to {count(rounds)} trainings one update{size}: how the trained numbers changed
              {masking !== null && ', masked'}
            </li>
            <li>numbers of steps, examples and tokens; training losses if you let “Loss” out</li>
            {told.length > 0 && <li>means over your held-out examples: {told.map(metricName).join(', ')}</li>}
          </ul>
        </div>
        <div>
          <h3>Stays here</h3>
          <ul>
            <li>your files, their texts, names and tokens</li>
            <li>which examples are held out</li>
            <li>what the method keeps with you, and the private key, which not even this page can read</li>
            {kept.length > 0 && <li>{kept.map(metricName).join(', ')}: you keep them</li>}
            <li>texts of errors</li>
          </ul>
        </div>
      </div>
      {look !== undefined && look.ownNoise !== null && (
        <p>Noise that is added in this browser, before anything is sent, promises you: {look.ownNoise}.</p>
      )}
      <p className="note warn">
        An update is made from your data. It is not your data, but who sees a single update may learn
        something about them, above all from few examples and few steps.{' '}
        {masking === null
          ? 'The operator of this run sees single updates.'
          : 'In this run nobody sees yours alone; a sum over few owners can still tell something about one of them.'}
      </p>
    </section>
  );
}
