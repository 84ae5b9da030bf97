/** A form made from the recipe's schema. It knows no key: what is asked for, and how, follows from the schema alone. */

import { useId } from 'react';
import { Field } from './field.tsx';
import { type Mistake, mistakeAt } from './mistakes.ts';
import { defaultText, fieldsOf, isRequired, kindOf, labelOf, type Schema, variantOf } from './schema.ts';
import { at, type Path } from './text.ts';

export interface FormContext {
  /** The whole recipe. */
  readonly value: unknown;
  readonly mistakes: readonly Mistake[];
  /** `value` undefined: the default again. */
  readonly change: (path: Path, value: unknown) => void;
}

export interface PartProps {
  readonly schema: Schema;
  readonly path: Path;
  readonly label: string;
  readonly required: boolean;
  readonly form: FormContext;
}

/** What is set or must be set is shown; the rest waits behind "more". */
export function Fields({ schema, path, form }: Pick<PartProps, 'schema' | 'path' | 'form'>) {
  const parts = fieldsOf(schema).map(([key, inner]) => ({ key, inner, path: [...path, key] }));
  const isShown = ({ key, path: own }: (typeof parts)[number]) =>
    isRequired(schema, key) ||
    at(form.value, own) !== undefined ||
    mistakeAt(form.mistakes, own) !== undefined;
  const shown = parts.filter(isShown);
  const more = parts.filter((part) => !isShown(part));
  const show = (list: typeof parts) =>
    list.map(({ key, inner, path: own }) => (
      <Part
        key={key}
        schema={inner}
        path={own}
        label={labelOf(key)}
        required={isRequired(schema, key)}
        form={form}
      />
    ));
  return (
    <>
      {show(shown)}
      {more.length > 0 && (
        <details className="more">
          <summary>
            {more.length} more {more.length === 1 ? 'setting' : 'settings'}
            <span className="visually-hidden">
              {' '}
              of {path.length === 0 ? 'the recipe' : labelOf(String(path.at(-1)))}
            </span>
          </summary>
          <div className="stack">{show(more)}</div>
        </details>
      )}
    </>
  );
}

function Part(props: PartProps) {
  switch (kindOf(props.schema)) {
    case 'group':
      return <Group {...props} />;
    case 'record':
      return <RecordPart {...props} />;
    case 'records':
      return <RecordList {...props} />;
    default:
      return <Field {...props} />;
  }
}

/** The recipe's own parts open on demand, or when there is something wrong inside. */
function Group({ schema, path, label, form }: PartProps) {
  if (path.length === 1)
    return (
      <details className="section" open={hasMistakes(form.mistakes, path) || undefined}>
        <summary>
          {label} <span className="hint">{contentText(at(form.value, path))}</span>
        </summary>
        <div className="stack">
          {schema.description !== undefined && <p className="hint">{schema.description}</p>}
          <Fields schema={schema} path={path} form={form} />
        </div>
      </details>
    );
  return (
    <fieldset>
      <legend>{label}</legend>
      {schema.description !== undefined && <p className="hint">{schema.description}</p>}
      <Fields schema={schema} path={path} form={form} />
    </fieldset>
  );
}

function hasMistakes(mistakes: readonly Mistake[], [part]: Path): boolean {
  return mistakes.some(({ path }) => path?.[0] === part);
}

/** What is set, in a few words. */
function contentText(value: unknown): string {
  if (value === null || typeof value !== 'object') return '';
  const words = Object.entries(value).map(([key, inner]) => {
    const { kind } = (inner ?? {}) as { kind?: unknown };
    if (typeof kind === 'string') return kind;
    return typeof inner === 'object' ? labelOf(key).toLowerCase() : `${labelOf(key).toLowerCase()} ${inner}`;
  });
  return words.slice(0, 5).join(', ');
}

/** `kind` picks the record, whose own options follow. */
function RecordPart({ schema, path, label, required, form }: PartProps) {
  const id = useId();
  const kind = at(form.value, [...path, 'kind']);
  const variant = variantOf(schema, kind);
  const mistake = mistakeAt(form.mistakes, path) ?? mistakeAt(form.mistakes, [...path, 'kind']);
  const usual = defaultText(schema);
  return (
    <fieldset>
      <legend>{label}</legend>
      <div className="field">
        <label htmlFor={id}>Kind</label>
        <select
          id={id}
          value={typeof kind === 'string' ? kind : ''}
          required={required}
          aria-invalid={mistake !== undefined}
          aria-describedby={`${id}-hint`}
          onChange={({ target }) =>
            form.change(path, target.value === '' ? undefined : { kind: target.value })
          }
        >
          <option value="">{usual === undefined ? '(choose one)' : `(default: ${usual})`}</option>
          {schema.oneOf?.map(({ title }) => (
            <option key={title} value={title}>
              {title}
            </option>
          ))}
        </select>
        <p className="hint" id={`${id}-hint`}>
          {variant?.description ?? schema.description}
        </p>
        {mistake !== undefined && <p className="wrong">{mistake}</p>}
      </div>
      {variant !== undefined && <Fields schema={variant} path={path} form={form} />}
    </fieldset>
  );
}

function RecordList({ schema, path, label, form }: PartProps) {
  const found = at(form.value, path);
  const items = Array.isArray(found) ? found : [];
  const mistake = mistakeAt(form.mistakes, path);
  const without = (index: number) => items.filter((_, i) => i !== index);
  return (
    <fieldset>
      <legend>{label}</legend>
      {schema.description !== undefined && <p className="hint">{schema.description}</p>}
      {mistake !== undefined && <p className="wrong">{mistake}</p>}
      {items.map((_, i) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: items of a recipe have no other name
        <div key={i} className="stack tight">
          <RecordPart
            schema={schema.items ?? {}}
            path={[...path, i]}
            label={`${label} ${i + 1}`}
            required
            form={form}
          />
          <button
            type="button"
            className="small"
            onClick={() => form.change(path, items.length === 1 ? undefined : without(i))}
          >
            Remove {label.toLowerCase()} {i + 1}
          </button>
        </div>
      ))}
      <button
        type="button"
        className="small"
        onClick={() => form.change(path, [...items, { kind: schema.items?.oneOf?.[0]?.title }])}
      >
        Add to {label.toLowerCase()}
      </button>
    </fieldset>
  );
}
