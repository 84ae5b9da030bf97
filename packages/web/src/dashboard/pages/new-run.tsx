/** A new run from a recipe: a form and the text behind it, which follow each other; mistakes are told as they are made. */

import { useEffect, useState } from 'react';
import { Failure, Loading } from '../../shared/notes.tsx';
import { get, post } from '../data/api.ts';
import { goTo, href } from '../data/router.ts';
import { useLoad } from '../data/use-load.ts';
import { Page } from '../parts/page.tsx';
import { Fields } from '../recipe/form.tsx';
import { type Mistake, mistakeText } from '../recipe/mistakes.ts';
import type { Schema } from '../recipe/schema.ts';
import { valueIn, withValue } from '../recipe/text.ts';

interface Recipes {
  readonly recipes: readonly { readonly name: string; readonly description: string; readonly text: string }[];
  readonly schema: Schema;
}

/** After the last change. */
const CHECK_MS = 400;

export function NewRunPage() {
  const { value, error, reload } = useLoad('recipes', (signal) => get<Recipes>('/recipes', signal));
  return (
    <Page title="New run">
      {error !== undefined && <Failure title="The recipes cannot be shown." error={error} retry={reload} />}
      {value === undefined && error === undefined && <Loading what="the recipes" />}
      {value !== undefined && <Editor {...value} />}
    </Page>
  );
}

function Editor({ recipes, schema }: Recipes) {
  const [text, setText] = useState(firstOf(recipes)?.text ?? '');
  const mistakes = useMistakes(text);
  const value = valueIn(text);
  const form = {
    value,
    mistakes: mistakes ?? [],
    change: (path: readonly (string | number)[], next: unknown) => setText(withValue(text, path, next)),
  };
  return (
    <>
      <StartFrom recipes={recipes} choose={setText} />
      <div className="editor">
        <section className="card stack" aria-label="Form">
          <h2>Form</h2>
          {value === undefined ? (
            <p className="note warn">The text cannot be read at present. Mend it, then the form is back.</p>
          ) : (
            <Fields schema={schema} path={[]} form={form} />
          )}
        </section>
        <section className="card stack text" aria-label="Text">
          <h2>
            <label htmlFor="text">Text</label>
          </h2>
          <textarea
            id="text"
            className="code"
            spellCheck={false}
            autoCapitalize="none"
            aria-invalid={(mistakes ?? []).length > 0}
            aria-describedby="mistakes"
            value={text}
            onChange={({ target }) => setText(target.value)}
          />
          <Verdict mistakes={mistakes} />
          <Begin text={text} ready={mistakes?.length === 0} />
        </section>
      </div>
    </>
  );
}

/** The one that everybody begins with, where it is there. */
function firstOf(recipes: Recipes['recipes']): Recipes['recipes'][number] | undefined {
  return recipes.find(({ name }) => name === 'quickstart') ?? recipes[0];
}

interface StartFromProps {
  readonly recipes: Recipes['recipes'];
  readonly choose: (text: string) => void;
}

function StartFrom({ recipes, choose }: StartFromProps) {
  const [name, setName] = useState(firstOf(recipes)?.name ?? '');
  const chosen = recipes.find((recipe) => recipe.name === name);
  return (
    <div className="card field">
      <label htmlFor="start">Start from</label>
      <select
        id="start"
        value={name}
        aria-describedby="start-hint"
        onChange={({ target }) => {
          setName(target.value);
          choose(recipes.find((recipe) => recipe.name === target.value)?.text ?? '');
        }}
      >
        {recipes.map((recipe) => (
          <option key={recipe.name}>{recipe.name}</option>
        ))}
        <option value="">an empty recipe</option>
      </select>
      <p className="hint" id="start-hint">
        {chosen?.description ?? 'Everything that is required has to be filled in.'} Choosing another one
        replaces the text.
      </p>
    </div>
  );
}

/** Undefined: not known yet. */
function useMistakes(text: string): readonly Mistake[] | undefined {
  const [checked, setChecked] = useState<{ text: string; mistakes: readonly Mistake[] }>();
  useEffect(() => {
    let wanted = true;
    const timer = setTimeout(() => {
      post<{ mistakes: Mistake[] }>('/recipes/check', { text }).then(
        ({ mistakes }) => wanted && setChecked({ text, mistakes }),
        (error: Error) =>
          wanted &&
          setChecked({ text, mistakes: [{ path: null, line: null, column: null, message: error.message }] }),
      );
    }, CHECK_MS);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [text]);
  return checked?.text === text ? checked.mistakes : undefined;
}

function Verdict({ mistakes }: { readonly mistakes: readonly Mistake[] | undefined }) {
  return (
    <div id="mistakes" role="status">
      {mistakes === undefined && <p className="hint">Checking …</p>}
      {mistakes?.length === 0 && <p className="right">No mistakes.</p>}
      {mistakes !== undefined && mistakes.length > 0 && (
        <>
          <p className="wrong label">
            {mistakes.length} {mistakes.length === 1 ? 'mistake' : 'mistakes'}
          </p>
          <ul className="wrong">
            {mistakes.map((mistake) => (
              <li key={mistakeText(mistake)}>{mistakeText(mistake)}</li>
            ))}
          </ul>
        </>
      )}
    </div>
  );
}

function Begin({ text, ready }: { readonly text: string; readonly ready: boolean }) {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<unknown>(undefined);
  const begin = async () => {
    setBusy(true);
    setError(undefined);
    try {
      const { run } = await post<{ run: string }>('/runs', { text });
      goTo(href(['runs', run, 'invite']));
    } catch (cause) {
      setError(cause);
      setBusy(false);
    }
  };
  return (
    <>
      {error !== undefined && <Failure title="The run was not begun." error={error} />}
      <div className="row">
        <button type="button" className="primary" disabled={!ready || busy} onClick={begin}>
          {busy ? 'Opening the model …' : 'Begin the run'}
        </button>
        <span className="hint">Then you invite owners; it begins to train when enough have joined.</span>
      </div>
    </>
  );
}
