/** Which of the owner's columns is which of the recipe's: a column, or a template over columns. */

import { useState } from 'react';
import type { Rows } from '../messages.ts';
import type { Tab } from '../use-tab.ts';

interface MappingProps {
  readonly tab: Tab;
  readonly rows: Rows;
}

export function Mapping({ tab, rows }: MappingProps) {
  const { seat } = tab;
  const [draft, setDraft] = useState<Readonly<Record<string, string>>>(seat?.mapping ?? {});
  if (seat === undefined || rows.wanted.length === 0) return null;
  const missing = rows.wanted.filter((column) => !rows.columns.includes(column) && !draft[column]);
  const save = () => {
    const mapping = Object.fromEntries(Object.entries(draft).filter(([, source]) => source.trim() !== ''));
    if (JSON.stringify(mapping) !== JSON.stringify(seat.mapping)) void tab.change({ mapping });
  };
  return (
    <details open={missing.length > 0 || Object.keys(draft).length > 0}>
      <summary>Which column is which</summary>
      <div className="stack tight">
        <p className="hint" id="mapping-hint">
          Left empty, the column of the same name is taken. A template joins several, such as{' '}
          <code>{'{title}: {body}'}</code>.
        </p>
        <datalist id="own-columns">
          {rows.columns.map((column) => (
            <option key={column} value={column} />
          ))}
        </datalist>
        <div className="fields">
          {rows.wanted.map((column) => (
            <div className="field" key={column}>
              <label htmlFor={`map-${column}`}>The run’s “{column}” is your</label>
              <input
                id={`map-${column}`}
                list="own-columns"
                value={draft[column] ?? ''}
                placeholder={rows.columns.includes(column) ? column : 'choose a column'}
                aria-describedby="mapping-hint"
                aria-invalid={missing.includes(column)}
                onChange={(event) => setDraft({ ...draft, [column]: event.target.value })}
                onBlur={save}
                onKeyDown={(event) => event.key === 'Enter' && save()}
              />
            </div>
          ))}
        </div>
      </div>
    </details>
  );
}
