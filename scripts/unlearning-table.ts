/** What `npm run results:unlearning` stored → Markdown tables. It runs nothing. */

interface Quality {
  readonly loss: number;
  readonly accuracy: number;
}

interface Forgetting {
  readonly forget: Quality;
  readonly heldOut: Quality | null;
  readonly membership: number | null;
  readonly retained: Quality | null;
}

export interface UnlearningReceipt {
  readonly method: string;
  readonly exact: boolean;
  readonly seconds: number;
  readonly measures: { readonly before: Forgetting; readonly after: Forgetting };
}

export interface UnlearningArm {
  readonly name: string;
  readonly owner: string;
  readonly runs: readonly { readonly seed: number; readonly receipts: readonly UnlearningReceipt[] }[];
}

const HEAD = [
  '',
  '',
  'loss on forgotten',
  'accuracy on them',
  'held out of the owner',
  'membership AUC',
  'others',
  'seconds',
];

export function unlearningTables(arms: readonly UnlearningArm[]): string {
  return arms.map((arm) => `${titleOf(arm)}\n\n${tableOf(arm)}`).join('\n\n');
}

function titleOf({ name, owner, runs }: UnlearningArm): string {
  const seeds = runs.map(({ seed }) => seed);
  const told = seeds.length === 1 ? `seed ${seeds[0]}` : `means over seeds ${seeds.join(', ')}`;
  return `**${name}**: \`${owner}\` is forgotten; ${told}`;
}

function tableOf({ runs }: UnlearningArm): string {
  const methods = runs[0]!.receipts.map(({ method }) => method);
  const of = (method: string) =>
    runs.flatMap(({ receipts }) => receipts.filter((one) => one.method === method));
  const rows = [
    ['as trained', '', ...cells(runs.map(({ receipts }) => receipts[0]!.measures.before)), ''],
    ...methods.map((method) => [
      method,
      of(method)[0]!.exact ? 'exact' : 'approximate',
      ...cells(of(method).map(({ measures }) => measures.after)),
      fixed(mean(of(method).map(({ seconds }) => seconds)), 0),
    ]),
  ];
  const line = HEAD.map((_, i) => (i < 2 ? '---' : '---:'));
  return [HEAD, line, ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');
}

function cells(all: readonly Forgetting[]): string[] {
  return [
    fixed(mean(all.map(({ forget }) => forget.loss)), 3),
    percent(mean(all.map(({ forget }) => forget.accuracy))),
    percent(mean(all.map(({ heldOut }) => heldOut?.accuracy))),
    fixed(mean(all.map(({ membership }) => membership)), 3),
    percent(mean(all.map(({ retained }) => retained?.accuracy))),
  ];
}

function mean(values: readonly (number | null | undefined)[]): number | null {
  const known = values.filter((value) => typeof value === 'number');
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}

function percent(value: number | null): string {
  return value === null ? '–' : `${(100 * value).toFixed(1)} %`;
}

function fixed(value: number | null, digits: number): string {
  return value?.toFixed(digits) ?? '–';
}
