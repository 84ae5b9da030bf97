/** Copies a text and says so. Where the browser does not allow it, the text beside it can be selected. */

import { useState } from 'react';

export function CopyButton({ text, what }: { readonly text: string; readonly what: string }) {
  const [said, setSaid] = useState('');
  const copy = () =>
    navigator.clipboard.writeText(text).then(
      () => setSaid('Copied'),
      () => setSaid('Not allowed here: select it and copy'),
    );
  return (
    <span className="row">
      <button type="button" className="small" onClick={copy}>
        Copy {what}
      </button>
      <span role="status" className="hint">
        {said}
      </span>
    </span>
  );
}
