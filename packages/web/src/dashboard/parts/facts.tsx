/** Key figures side by side: a name, a value, perhaps a word more. */

import type { ReactNode } from 'react';

export interface Fact {
  readonly name: string;
  readonly value: ReactNode;
  readonly more?: ReactNode;
}

export function Facts({ facts }: { readonly facts: readonly Fact[] }) {
  return (
    <dl className="facts">
      {facts.map(({ name, value, more }) => (
        <div key={name} className="card fact">
          <dt>{name}</dt>
          <dd className="value">{value}</dd>
          {more !== undefined && <dd className="hint">{more}</dd>}
        </div>
      ))}
    </dl>
  );
}
