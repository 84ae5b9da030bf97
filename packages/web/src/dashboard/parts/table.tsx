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
}

export function Table<Row>({ caption, columns, rows, keyOf, below }: TableProps<Row>) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls it
    <section className="scroll" tabIndex={0} aria-label={caption}>
      <table>
        <caption className="visually-hidden">{caption}</caption>
        <thead>
          <tr>
            {columns.map(({ head, number }) => (
              <th scope="col" key={head} className={number ? 'number' : undefined}>
                {head}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => {
            const more = below?.(row);
            return (
              <Fragment key={keyOf(row)}>
                <tr>{columns.map((column, i) => cellOf(column, row, i === 0))}</tr>
                {more !== undefined && more !== null && (
                  <tr className="below">
                    <td colSpan={columns.length}>{more}</td>
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

function cellOf<Row>({ head, cell, number }: Column<Row>, row: Row, first: boolean): ReactNode {
  const className = number ? 'number' : undefined;
  return first ? (
    <th scope="row" key={head} className={className}>
      {cell(row)}
    </th>
  ) : (
    <td key={head} className={className}>
      {cell(row)}
    </td>
  );
}
