/** A table that scrolls in its own box, by keyboard too. Columns say how their cells are made. */

import { Fragment, type ReactNode } from 'react';

export interface Column<Row> {
  readonly head: string;
  readonly cell: (row: Row) => ReactNode;
  readonly number?: boolean;
}

export interface TableProps<Row> {
  /** Read to whoever does not see the page. */
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => string | number;
  /** Shown below a row over all columns. */
  readonly below?: (row: Row) => ReactNode;
  /** On narrow screens cells stand below each other, each with its head. */
  readonly stacks?: boolean;
}

/** Tables that are laid out as blocks are tables no more to some browsers, unless it is said. */
const ROLES = {
  table: { role: 'table' },
  group: { role: 'rowgroup' },
  row: { role: 'row' },
  head: { role: 'columnheader' },
};

export function Table<Row>({ caption, columns, rows, keyOf, below, stacks = false }: TableProps<Row>) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls it
    <section className="scroll" tabIndex={0} aria-label={caption}>
      <table {...(stacks ? { ...ROLES.table, className: 'stacks' } : {})}>
        <caption className="visually-hidden">{caption}</caption>
        <thead {...(stacks ? ROLES.group : {})}>
          <tr {...(stacks ? ROLES.row : {})}>
            {columns.map(({ head, number }) => (
              <th
                {...(stacks ? ROLES.head : {})}
                scope="col"
                key={head}
                className={number ? 'number' : undefined}
              >
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody {...(stacks ? ROLES.group : {})}>
          {rows.map((row) => {
            const more = below?.(row);
            return (
              <Fragment key={keyOf(row)}>
                <tr {...(stacks ? ROLES.row : {})}>
                  {columns.map((column, i) => cellOf(column, row, i === 0, stacks))}
                </tr>
                {more !== undefined && more !== null && (
                  <tr className="below" {...(stacks ? ROLES.row : {})}>
                    <td {...(stacks ? { role: 'cell' } : {})} colSpan={columns.length}>
                      {more}
                    </td>
                  </tr>
                )}
              </Fragment>
            );
          })}
        </tbody>
      </table>
    </section>
  );
}

function cellOf<Row>(
  { head, cell, number }: Column<Row>,
  row: Row,
  first: boolean,
  stacks: boolean,
): ReactNode {
  const className = number ? 'number' : undefined;
  return first ? (
    <th {...(stacks ? { role: 'rowheader' } : {})} scope="row" key={head} className={className}>
      {cell(row)}
    </th>
  ) : (
    <td {...(stacks ? { role: 'cell', 'data-label': head } : {})} key={head} className={className}>
      {stacks ? <div>{cell(row)}</div> : cell(row)}
    </td>
  );
}
