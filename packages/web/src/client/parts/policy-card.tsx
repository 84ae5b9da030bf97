/** The owner's limits: what a run may be and what may leave. The same as the policy file of `headwater join`. */

import { useState } from 'react';
import { metricName } from '../../shared/format.ts';
import type { Seat, SignedRun } from '../messages.ts';
import type { Tab } from '../use-tab.ts';

type Rules = Seat['policy'];
type NumberKey = 'minCohort' | 'maxRounds' | 'maxLocalSteps' | 'maxThreads';
type NamesKey = 'models' | 'methods' | 'tuning' | 'privacy' | 'helpers';

interface PolicyCardProps {
  readonly tab: Tab;
  readonly run: SignedRun;
}

export function PolicyCard({ tab, run }: PolicyCardProps) {
  const rules = tab.seat?.policy ?? {};
  const { manifest, summary, reasons } = run;
  const set = (change: { [Key in keyof Rules]?: Rules[Key] | undefined }) => {
    const next = Object.entries({ ...rules, ...change }).filter(([, value]) => value !== undefined);
    void tab.change({ policy: Object.fromEntries(next) as Rules });
  };
  const helper = summary.masking?.helper ?? undefined;
  const numbers: readonly (readonly [NumberKey, string, string])[] = [
    ['minCohort', 'Updates in any average, at least', `this run: ${manifest.minCohort}`],
    ['maxRounds', 'Rounds, at most', `this run: ${summary.rounds}`],
    ['maxLocalSteps', 'Steps in a round, at most', `this run: ${summary.localSteps}`],
  ];
  const names: readonly (readonly [NamesKey, string, string])[] = [
    ['methods', 'Methods that may be used', `this run: ${summary.method}`],
    ['tuning', 'Kinds of tuning', `this run: ${summary.tuning}`],
    ['models', 'Base models, by name or SHA-256', `this run: ${manifest.model.source}`],
    ['privacy', 'Privacy mechanisms that must be on', `this run: ${manifest.privacy.join(', ') || 'none'}`],
    ...(helper === undefined
      ? []
      : ([['helpers', 'Helpers that may open masks, by their keys', `this run: ${helper.key}`]] as const)),
  ];
  return (
    <section className="card stack" aria-labelledby="your-limits">
      <h2 id="your-limits">Your limits</h2>
      <p className="hint">
        What is left empty is not limited. The coordinator cannot ask for more during the run: it is held
        against what was signed.
      </p>
      <div className="fields">
        {numbers.map(([key, label, hint]) => (
          <Limit
            key={key}
            id={key}
            label={label}
            hint={hint}
            value={rules[key] === undefined ? '' : String(rules[key])}
            kind="number"
            set={(text) => set({ [key]: text === '' ? undefined : Math.max(1, Math.round(Number(text))) })}
          />
        ))}
        {names.map(([key, label, hint]) => (
          <Limit
            key={key}
            id={key}
            label={label}
            hint={hint}
            value={(rules[key] ?? []).join(', ')}
            kind="text"
            set={(text) => set({ [key]: namesIn(text) })}
          />
        ))}
      </div>
      <label className="check">
        <input
          type="checkbox"
          checked={rules.secureAggregation !== undefined}
          onChange={({ target }) => set({ secureAggregation: target.checked ? true : undefined })}
        />
        Only if the coordinator does not see my update alone (secure aggregation)
      </label>
      <Figures metrics={manifest.metrics} rules={rules} set={(metrics) => set({ metrics })} />
      {reasons.length > 0 && (
        <div className="note bad" role="alert">
          <p className="label">Your limits refuse this run</p>
          <ul>
            {reasons.map((reason) => (
              <li key={reason}>{reason}</li>
            ))}
          </ul>
        </div>
      )}
    </section>
  );
}

function namesIn(text: string): string[] | undefined {
  const names = text.split(',').flatMap((name) => (name.trim() === '' ? [] : [name.trim()]));
  return names.length === 0 ? undefined : names;
}

interface LimitProps {
  readonly id: string;
  readonly label: string;
  readonly hint: string;
  readonly value: string;
  readonly kind: 'number' | 'text';
  readonly set: (text: string) => void;
}

function Limit({ id, label, hint, value, kind, set }: LimitProps) {
  const [text, setText] = useState(value);
  return (
    <div className="field">
      <label htmlFor={`limit-${id}`}>{label}</label>
      <input
        id={`limit-${id}`}
        type={kind}
        min={1}
        value={text}
        placeholder="any"
        aria-describedby={`limit-${id}-hint`}
        autoComplete="off"
        onChange={(event) => setText(event.target.value)}
        onBlur={() => text !== value && set(text)}
        onKeyDown={(event) => event.key === 'Enter' && text !== value && set(text)}
      />
      <p className="hint" id={`limit-${id}-hint`}>
        {hint}
      </p>
    </div>
  );
}

interface FiguresProps {
  readonly metrics: readonly string[];
  readonly rules: Rules;
  readonly set: (metrics: string[]) => void;
}

/** Without `loss`, training losses stay too, whether or not the run asks for it on held-out examples. */
function Figures({ metrics, rules, set }: FiguresProps) {
  const all = [...new Set([...metrics, 'loss'])];
  const told = rules.metrics ?? all;
  return (
    <fieldset>
      <legend>Figures that may be told</legend>
      <div className="row">
        {all.map((metric) => (
          <label key={metric} className="check">
            <input
              type="checkbox"
              checked={told.includes(metric)}
              onChange={({ target }) =>
                set(target.checked ? [...told, metric] : told.filter((name) => name !== metric))
              }
            />
            {metricName(metric)}
          </label>
        ))}
      </div>
    </fieldset>
  );
}
