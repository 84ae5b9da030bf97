/** One setting: a choice, a tick, a number or a text. What is typed is kept as typed until the field is left. */

import { type ReactNode, useEffect, useId, useState } from 'react';
import type { PartProps } from './form.tsx';
import { mistakeAt } from './mistakes.ts';
import { defaultText, kindOf } from './schema.ts';
import { at, inlineText, inlineValue } from './text.ts';

interface ControlProps extends PartProps {
  readonly id: string;
  readonly aria: { readonly 'aria-invalid': boolean; readonly 'aria-describedby': string };
}

export function Field(props: PartProps) {
  const { schema, path, label, required, form } = props;
  const id = useId();
  const mistake = mistakeAt(form.mistakes, path);
  const aria = { 'aria-invalid': mistake !== undefined, 'aria-describedby': `${id}-hint` };
  const usual = defaultText(schema);
  const hints = [
    schema.description,
    usual === undefined || kindOf(schema) === 'boolean' ? undefined : `Default: ${usual}.`,
  ];
  const below = (
    <>
      <p className="hint" id={`${id}-hint`}>
        {hints.filter((hint) => hint !== undefined).join(' ')}
      </p>
      {mistake !== undefined && <p className="wrong">{mistake}</p>}
    </>
  );
  const control = { ...props, id, aria };
  if (kindOf(schema) === 'boolean')
    return (
      <div className="field">
        <div className="row nowrap">
          <Tick {...control} />
          <label htmlFor={id}>{label}</label>
        </div>
        {below}
      </div>
    );
  return (
    <div className="field">
      <label htmlFor={id}>
        {label}
        {required && <span className="hint"> (required)</span>}
      </label>
      {kindOf(schema) === 'choice' ? <Choice {...control} /> : <Typed {...control} />}
      {below}
    </div>
  );
}

function Tick({ schema, path, form, id, aria }: ControlProps) {
  const value = at(form.value, path) ?? schema.default ?? false;
  return (
    <input
      {...aria}
      id={id}
      type="checkbox"
      checked={value === true}
      onChange={({ target }) =>
        form.change(path, target.checked === schema.default ? undefined : target.checked)
      }
    />
  );
}

function Choice({ schema, path, form, id, aria }: ControlProps): ReactNode {
  const value = at(form.value, path);
  const usual = defaultText(schema);
  return (
    <select
      {...aria}
      id={id}
      value={value === undefined ? '' : String(value)}
      onChange={({ target }) =>
        form.change(
          path,
          schema.enum?.find((option) => String(option) === target.value),
        )
      }
    >
      <option value="">{usual === undefined ? '(not set)' : `(default: ${usual})`}</option>
      {schema.enum?.map((option) => (
        <option key={String(option)} value={String(option)}>
          {String(option)}
        </option>
      ))}
    </select>
  );
}

function Typed({ schema, path, form, id, aria, required }: ControlProps) {
  const kind = kindOf(schema);
  const text = inlineText(at(form.value, path));
  const [draft, setDraft] = useState(text);
  useEffect(() => setDraft(text), [text]);
  const commit = () => {
    if (draft === text) return;
    const typed = draft.trim() === '' ? undefined : draft;
    form.change(path, kind === 'text' ? typed : inlineValue(draft));
  };
  return (
    <input
      {...aria}
      id={id}
      type="text"
      inputMode={kind === 'number' ? 'decimal' : 'text'}
      autoComplete="off"
      spellCheck={false}
      aria-required={required}
      placeholder={defaultText(schema)}
      value={draft}
      onChange={({ target }) => setDraft(target.value)}
      onBlur={commit}
      onKeyDown={({ key }) => key === 'Enter' && commit()}
    />
  );
}
