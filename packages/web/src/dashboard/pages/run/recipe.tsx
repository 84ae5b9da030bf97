/** The recipe as it runs, with every default filled in. */

import { Failure, Loading } from '../../../shared/notes.tsx';
import { get } from '../../data/api.ts';
import { useLoad } from '../../data/use-load.ts';
import { CopyButton } from '../../parts/copy-button.tsx';

export function Recipe({ run }: { readonly run: string }) {
  const path = `/runs/${encodeURIComponent(run)}/recipe`;
  const { value, error, reload } = useLoad(path, (signal) => get<{ text: string }>(path, signal));
  if (error !== undefined)
    return <Failure title="The recipe cannot be shown." error={error} retry={reload} />;
  if (value === undefined) return <Loading what="the recipe" />;
  return (
    <section className="stack tight" aria-label="Recipe">
      <div className="row between">
        <p className="hint">As resolved: what was left out has its default.</p>
        <CopyButton text={value.text} what="recipe" />
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls it */}
      <pre tabIndex={0}>{value.text}</pre>
    </section>
  );
}
