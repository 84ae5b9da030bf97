/** The signed run in plain words: who runs it, what is done, how much. */

import { bytes, count } from '../../shared/format.ts';
import type { SignedRun } from '../messages.ts';
import { whoSees } from './secure-steps.tsx';

const WEIGHTS: Readonly<Record<SignedRun['summary']['weights'], string>> = {
  exact: 'as it is, nothing rounded',
  float16: 'with matrices rounded to float16',
  int8: 'with matrices rounded to 8 bits',
  int4: 'with matrices rounded to 4 bits',
};

export function RunCard({ run }: { readonly run: SignedRun }) {
  const { manifest, summary, operator, owner } = run;
  const { rounds, localSteps, batchSize, masking } = summary;
  const privacy = manifest.privacy.length === 0 ? 'none' : manifest.privacy.join(', ');
  const facts: readonly (readonly [string, React.ReactNode])[] = [
    ['You are', owner ?? 'given a name by the coordinator'],
    ['Base model', `${manifest.model.source} (${bytes(summary.weightBytes)} of weights)`],
    ['Held in this browser', WEIGHTS[summary.weights]],
    ['What is trained', summary.tuning],
    ['Method', `${summary.method}, updates sent as ${sentAs(summary)}`],
    [
      'Amount',
      `${count(rounds)} rounds of ${count(localSteps)} steps with ${count(batchSize)} examples each`,
    ],
    [
      'Smallest average',
      `${count(manifest.minCohort)} ${manifest.minCohort === 1 ? 'update: an average may be you alone' : 'updates'}`,
    ],
    ['Privacy mechanisms', privacy],
    ...(masking?.helper == null
      ? []
      : ([['Helper’s key', <code key="helper">{inGroups(masking.helper.key)}</code>]] as const)),
    ['Operator’s key', <code key="key">{inGroups(operator)}</code>],
  ];
  return (
    <section className="card stack" aria-labelledby="the-run">
      <h2 id="the-run">What this run is</h2>
      {summary.description !== null && <p>{summary.description}</p>}
      <p>
        This browser gets a model from the coordinator, trains it on your examples, and sends back how the
        trained numbers changed. The coordinator averages the changes of all owners; that is a round. There
        are {count(rounds)} of them.
      </p>
      <p>
        {masking === null
          ? 'The coordinator sees your update alone before it averages it: this run has no secure aggregation.'
          : `What is sent is masked. ${whoSees(masking)}`}
      </p>
      <dl className="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <p className="hint">
        The run is signed with the operator’s key, and the signature fits. Compare the fingerprint with the
        operator over another way (a call, in person) if you want to be sure who that is.
      </p>
    </section>
  );
}

function sentAs({ masking, compression }: SignedRun['summary']): string {
  if (masking !== null) return 'masked integers of 32 bits';
  return compression === 'none' ? 'float32' : compression;
}

/** In groups that can be read out. */
function inGroups(key: string): string {
  return key.match(/.{1,4}/g)?.join(' ') ?? key;
}
