/** What every inspection gives: facts in order and tables. */
export interface Inspection {
  readonly kind: string;
  readonly name: string;
  readonly facts: Readonly<Record<string, string>>;
  readonly tables: readonly InspectionTable[];
}

export interface InspectionTable {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  readonly numeric: boolean;
}
