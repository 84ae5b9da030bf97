/** What a browser must have to take part, asked before anything is loaded. */

/** One plain sentence for each thing that is missing. */
export function missingHere(): string[] {
  const lacks: readonly (readonly [boolean, string])[] = [
    [
      !isSecureContext,
      'The page did not come over HTTPS. Browsers give keys and storage to such pages only: ask the operator for an https address.',
    ],
    [typeof WebAssembly !== 'object', 'It runs no WebAssembly, which computes.'],
    [typeof Worker !== 'function', 'It has no workers, in which training runs.'],
    [
      isSecureContext && navigator.storage?.getDirectory === undefined,
      'It has no private file system, in which the model is stored.',
    ],
    [isSecureContext && navigator.locks === undefined, 'It has no locks, which keep two tabs apart.'],
    [typeof CompressionStream !== 'function' || typeof AbortSignal.any !== 'function', 'It is too old.'],
  ];
  return lacks.filter(([isMissing]) => isMissing).map(([, text]) => text);
}

export function Unsupported({ missing }: { readonly missing: readonly string[] }) {
  return (
    <main className="page stack">
      <h1>This browser cannot take part</h1>
      <div className="note bad stack tight" role="alert">
        {missing.map((text) => (
          <p key={text}>{text}</p>
        ))}
      </div>
      <p>
        Use a current Chrome, Edge, Firefox or Safari, not in a private window. On a machine with Node.js the
        same invitation works with <code>headwater join</code>. Nothing was sent, and the invitation stays
        good.
      </p>
    </main>
  );
}
