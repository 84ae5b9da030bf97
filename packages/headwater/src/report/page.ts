/**
 * What a report consists of: sections of tables, charts, notes and text. Plain data between the run (`from-run.ts`) and
 * the HTML (`html.ts`); it knows neither.
 */

export interface ReportPage {
  readonly title: string;
  /** One or two sentences under the title. */
  readonly lead: string;
  readonly sections: readonly Section[];
  readonly footer: string;
}

export interface Section {
  readonly title: string;
  readonly note?: string;
  readonly blocks: readonly Block[];
}

export type Block =
  | ({ readonly kind: 'table' } & TableBlock)
  | { readonly kind: 'chart'; readonly chart: Chart }
  | { readonly kind: 'notes'; readonly notes: readonly string[] }
  | { readonly kind: 'code'; readonly summary: string; readonly code: string };

export interface TableBlock {
  readonly caption: string;
  readonly head: readonly string[];
  readonly rows: readonly TableRow[];
  /** Columns after the first are numbers. */
  readonly numeric: boolean;
  /** With `numeric`: the last column is text all the same. */
  readonly lastIsText?: boolean;
}

export interface TableRow {
  readonly cells: readonly string[];
  /** The row that the table is about. */
  readonly strong?: boolean;
}

export interface Chart {
  readonly title: string;
  readonly note?: string;
  /** `points`: no lines, except through series with `line`; where a series has no value it has no point. */
  readonly kind: 'line' | 'bars' | 'points';
  readonly xLabel: string;
  readonly x: readonly number[];
  readonly series: readonly Series[];
  readonly format: 'number' | 'percent' | 'bytes';
  /** `bytes`: x are sizes, on a logarithmic axis. Default: whole numbers. */
  readonly xFormat?: 'count' | 'bytes';
  /** The vertical axis begins at zero. */
  readonly zero: boolean;
}

export interface Series {
  readonly label: string;
  /** One per x; null where there is no value. */
  readonly values: readonly (number | null)[];
  /** A horizontal line to compare with, drawn dashed. */
  readonly reference?: boolean;
  /** Of `points`: joined by a thin line, without points of its own. */
  readonly line?: boolean;
  /** How far values may be off: a band around a line, a bar through a point. */
  readonly band?: { readonly low: readonly (number | null)[]; readonly high: readonly (number | null)[] };
}
