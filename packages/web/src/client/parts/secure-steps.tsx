/** What secure aggregation does for this owner in a round, step by step, and who can see what. */

import { count } from '../../shared/format.ts';
import type { MaskingInWords } from '../messages.ts';
import { mayBeHonest, type SecureNote, type SecureStep } from '../progress.ts';

interface SecureStepsProps {
  readonly masking: MaskingInWords;
  readonly note: SecureNote | undefined;
}

export function SecureSteps({ masking, note }: SecureStepsProps) {
  const steps = masking.mode === 'two-server' ? TWO_SERVERS : TOGETHER;
  const done = new Set(note?.done);
  return (
    <section className="stack tight" aria-labelledby="masks">
      <h3 id="masks">{note === undefined ? 'Masks' : `Masks of round ${count(note.round)}`}</h3>
      <ol className="steps">
        {steps.map(({ step, words }) => {
          const isDone = done.has(step);
          return (
            <li key={step} className={isDone ? 'done' : undefined}>
              <span aria-hidden="true">{isDone ? '✓' : '○'}</span>
              <span>
                {words(isDone ? note?.owners : undefined)}
                <span className="visually-hidden">{isDone ? ' (done)' : ' (not yet)'}</span>
              </span>
            </li>
          );
        })}
      </ol>
      {note?.left !== undefined && <Left round={note.round} reason={note.left} />}
      <p className="hint">{whoSees(masking)}</p>
    </section>
  );
}

interface Words {
  readonly step: SecureStep;
  /** `owners`: that take part, once the step is done and they are known. */
  readonly words: (owners: number | undefined) => string;
}

const of = (owners: number | undefined) => (owners === undefined ? '' : ` of ${count(owners)} owners`);

const TOGETHER: readonly Words[] = [
  { step: 'advertise', words: () => 'Fresh keys made for this round alone' },
  {
    step: 'share',
    words: () => 'Keys exchanged; sealed shares of the secrets left with other owners, should this tab close',
  },
  { step: 'mask', words: () => 'Update masked and sent' },
  { step: 'confirm', words: () => 'Signed whose updates are in the sum' },
  { step: 'unmask', words: (owners) => `Helped to open the sum${of(owners)}; secrets erased` },
];

const TWO_SERVERS: readonly Words[] = [
  { step: 'mask', words: () => 'Update masked and sent; the key of its mask sealed for the helper' },
];

/** In a sentence or two. */
export function whoSees({ mode, minSum, isGrouped, helper, adversaries }: MaskingInWords): string {
  const sums = isGrouped
    ? `sums over groups of at least ${count(minSum)} owners`
    : `the sum over at least ${count(minSum)} owners`;
  const opened =
    mode === 'two-server'
      ? `The helper at ${helper?.url ?? 'another address'} opens the masks and sees no update. Only both together could read yours, or the coordinator with all others of a sum on its side.`
      : `The owners of a round open the masks together. The coordinator could read yours only with more than ${Math.round(100 * (adversaries ?? 0))} % of them on its side, or with all others of a sum.`;
  return `The coordinator sees ${sums}, never your update alone. ${opened}`;
}

function Left({ round, reason }: { readonly round: number; readonly reason: string }) {
  const isHarmless = mayBeHonest(reason);
  return (
    <div className={isHarmless ? 'note warn' : 'note bad'} role="alert">
      <p className="label">
        {isHarmless
          ? `The masks of round ${count(round)} were given up`
          : `This browser refused to go on with the masks of round ${count(round)}`}
      </p>
      <p>
        {isHarmless
          ? 'As a rule because owners went away, or because one side was started again. '
          : 'It was asked for something that no honest coordinator asks for. Tell the operator, and other owners. '}
        The secrets of this attempt are erased, and what was sent stays masked. If the round is tried again,
        it has fresh keys.
      </p>
      <p className="hint lines">{reason}</p>
    </div>
  );
}
